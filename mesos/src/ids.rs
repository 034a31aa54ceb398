//! Names as Mesos writes them: `<cluster>-0007` a framework, `<cluster>-S3` an agent, `<cluster>-O12` an offer, and tasks as their framework
//! calls them.

use haggle_core::{AgentId, ClusterId, FrameworkId, InverseOfferId, Member, OfferId, TaskId};
use sha2::{Digest, Sha256};

/// The longest task id, in bytes: Mesos's own bound, and what a task's label holds.
const TASK_ID_MAX: usize = 255;

/// Bits of a task's number: so many that a framework with a million live tasks never sees two of one number, and so few that a
/// number can be read.
const NUMBER_BITS: u32 = 53;

/// A text that is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is no {wanted} of this cluster")]
pub struct NotAnId {
    wanted: &'static str,
    got: String,
}

/// The names of one cluster.
#[derive(Clone, Copy, Debug)]
pub struct Ids(pub ClusterId);

impl Ids {
    /// A framework's.
    pub fn framework(&self, id: FrameworkId) -> String {
        format!("{:032x}-{:04}", self.0.0, id.0)
    }

    /// An agent's.
    pub fn agent(&self, id: AgentId) -> String {
        format!("{:032x}-S{}", self.0.0, id.0)
    }

    /// An offer's.
    pub fn offer(&self, id: OfferId) -> String {
        format!("{:032x}-O{}", self.0.0, id.0)
    }

    /// An inverse offer's.
    pub fn inverse_offer(&self, id: InverseOfferId) -> String {
        format!("{:032x}-I{}", self.0.0, id.0)
    }

    /// Reads a framework's, of whichever cluster: the core says what is wrong with one of another.
    ///
    /// # Errors
    /// When it is none of Haggle's at all.
    pub fn read_framework(&self, text: &str) -> Result<Member<FrameworkId>, NotAnId> {
        let read = || {
            let (cluster, number) = text.split_once('-').filter(|(cluster, _)| cluster.len() == 32)?;
            let cluster = ClusterId(u128::from_str_radix(cluster, 16).ok()?);
            Some(Member { cluster, id: FrameworkId(number.parse().ok()?) })
        };
        read().ok_or_else(|| NotAnId { wanted: "framework", got: text.to_owned() })
    }

    /// Reads an agent's.
    ///
    /// # Errors
    /// When it is none of this cluster.
    pub fn read_agent(&self, text: &str) -> Result<AgentId, NotAnId> {
        self.read(text, 'S', "agent").map(AgentId)
    }

    /// Reads an offer's.
    ///
    /// # Errors
    /// When it is none of this cluster.
    pub fn read_offer(&self, text: &str) -> Result<OfferId, NotAnId> {
        self.read(text, 'O', "offer").map(OfferId)
    }

    /// Reads an inverse offer's.
    ///
    /// # Errors
    /// When it is none of this cluster.
    pub fn read_inverse_offer(&self, text: &str) -> Result<InverseOfferId, NotAnId> {
        self.read(text, 'I', "inverse offer").map(InverseOfferId)
    }

    fn read(&self, text: &str, letter: char, wanted: &'static str) -> Result<u64, NotAnId> {
        let read = || {
            let (cluster, rest) = text.split_once('-')?;
            let is_ours = cluster == format!("{:032x}", self.0.0);
            is_ours.then(|| rest.strip_prefix(letter)?.parse().ok()).flatten()
        };
        read().ok_or_else(|| NotAnId { wanted, got: text.to_owned() })
    }
}

/// Whether a task can be called so.
pub fn is_task_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TASK_ID_MAX
        && !matches!(text, "." | "..")
        && !text.contains(|letter: char| letter.is_control() || matches!(letter, '/' | '\\'))
}

/// The number of a task whose framework calls it so. Drawn from the text itself: so whoever comes after a failover, of the framework or of the
/// master, knows it without anybody having remembered it.
pub fn task_number(text: &str) -> u64 {
    let hash = Sha256::digest(text);
    let first = hash.first_chunk().copied().unwrap_or_default();
    (u64::from_be_bytes(first) >> (u64::BITS - NUMBER_BITS)).max(1)
}

/// A task by its framework and what that calls it.
pub(crate) fn task(framework: FrameworkId, text: &str) -> TaskId {
    TaskId { framework, number: task_number(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: Ids = Ids(ClusterId(0xab));

    #[test]
    fn names_are_written_as_mesos_writes_them_and_read_back() {
        assert_eq!(IDS.framework(FrameworkId(7)), "000000000000000000000000000000ab-0007");
        assert_eq!(IDS.agent(AgentId(3)), "000000000000000000000000000000ab-S3");

        assert_eq!(IDS.read_framework(&IDS.framework(FrameworkId(7))).unwrap().id, FrameworkId(7));
        assert_eq!(IDS.read_agent(&IDS.agent(AgentId(3))), Ok(AgentId(3)));
        assert_eq!(IDS.read_offer(&IDS.offer(OfferId(12))), Ok(OfferId(12)));
        assert_eq!(IDS.read_inverse_offer(&IDS.inverse_offer(InverseOfferId(2))), Ok(InverseOfferId(2)));
    }

    #[test]
    fn names_of_others_are_none_of_ours() {
        let other = Ids(ClusterId(0xcd));

        assert_eq!(other.read_agent(&IDS.agent(AgentId(3))).unwrap_err().wanted, "agent");
        assert_eq!(IDS.read_framework(&other.framework(FrameworkId(1))).unwrap().cluster, ClusterId(0xcd));
        assert!(IDS.read_framework("20151012-0001-x").is_err() && IDS.read_offer("").is_err());
    }

    #[test]
    fn a_task_has_the_same_number_whoever_asks_and_another_one_another() {
        assert_eq!(task_number("a"), task_number("a"));
        assert_ne!(task_number("a"), task_number("b"));
        assert!(task_number("a") < 1 << NUMBER_BITS);
    }

    #[test]
    fn what_mesos_takes_for_a_task_id_is_one() {
        assert!(is_task_id("a task.1-x"));
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
            assert!(!is_task_id(bad), "{bad:?}");
        }
    }
}
