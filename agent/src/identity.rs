//! Who an agent is, as it stands in a file of its work folder.

use std::fmt;

use haggle_core::{AgentId, AgentKey, Epoch, Member};

/// What an agent remembers of itself and of its cluster over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Drawn once for each work folder.
    pub(crate) key: AgentKey,
    /// Its name, once a master has taken it in.
    pub(crate) member: Option<Member<AgentId>>,
    /// The highest epoch of that cluster's masters that it has registered with.
    pub(crate) epoch: Epoch,
}

/// A text that is no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnIdentity {
    /// Earlier releases wrote down the id and the address of the master that gave it.
    OldForm,
    /// Nobody's.
    Unreadable,
}

impl Identity {
    /// Of an agent that is new.
    pub(crate) fn new(key: AgentKey) -> Self {
        Self { key, member: None, epoch: Epoch::default() }
    }

    /// # Errors
    /// When it is not the text that [`fmt::Display`] gives.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnIdentity> {
        let is_old = |(id, master): (&str, &str)| id.parse::<AgentId>().is_ok() && master.starts_with("http");
        if text.trim_end().split_once(' ').is_some_and(is_old) {
            return Err(NotAnIdentity::OldForm);
        }
        let (mut key, mut cluster, mut id, mut epoch) = (None, None, None, None);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fresh = match line.split_once(' ').ok_or(NotAnIdentity::Unreadable)? {
                ("key", value) => set(&mut key, value),
                ("cluster", value) => set(&mut cluster, value),
                ("agent", value) => set(&mut id, value),
                ("epoch", value) => set(&mut epoch, value),
                _ => false,
            };
            if !fresh {
                return Err(NotAnIdentity::Unreadable);
            }
        }
        let member = match (cluster, id) {
            (Some(cluster), Some(id)) => Some(Member { cluster, id }),
            (None, None) => None,
            _ => return Err(NotAnIdentity::Unreadable),
        };
        let (Some(key), Some(epoch)) = (key, epoch) else { return Err(NotAnIdentity::Unreadable) };
        Ok(Self { key, member, epoch })
    }
}

/// False when the value cannot be read, or was there before.
fn set<T: std::str::FromStr>(field: &mut Option<T>, value: &str) -> bool {
    let before = field.is_some();
    *field = value.parse().ok();
    !before && field.is_some()
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Who the Haggle agent in this folder is. The key is a secret: it proves the id.")?;
        writeln!(f, "key {}", self.key)?;
        if let Some(Member { cluster, id }) = self.member {
            writeln!(f, "cluster {cluster}\nagent {id}")?;
        }
        writeln!(f, "epoch {}", self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::ClusterId;

    use super::*;

    fn member() -> Identity {
        let member = Member { cluster: ClusterId(0xc), id: AgentId(3) };
        Identity { key: AgentKey(0xa), member: Some(member), epoch: Epoch(7) }
    }

    #[test]
    fn it_reads_as_it_was_written() {
        for identity in [member(), Identity::new(AgentKey(u128::MAX))] {
            assert_eq!(Identity::parse(&identity.to_string()), Ok(identity));
        }
    }

    #[test]
    fn people_can_read_it() {
        let text = "\
# Who the Haggle agent in this folder is. The key is a secret: it proves the id.
key key-0000000000000000000000000000000a
cluster cluster-0000000000000000000000000000000c
agent agent-3
epoch epoch-7
";

        assert_eq!(member().to_string(), text);
    }

    #[test]
    fn the_form_of_earlier_releases_is_known_as_such() {
        assert_eq!(Identity::parse("agent-3 http://127.0.0.1:5050/\n"), Err(NotAnIdentity::OldForm));
    }

    #[test]
    fn half_an_identity_is_none() {
        let whole = member().to_string();
        let lines: Vec<&str> = whole.lines().collect();
        for missing in 1..lines.len() {
            let rest: Vec<&str> =
                lines.iter().enumerate().filter(|&(at, _)| at != missing).map(|(_, &line)| line).collect();
            assert_eq!(
                Identity::parse(&rest.join("\n")),
                Err(NotAnIdentity::Unreadable),
                "without {:?}",
                lines[missing]
            );
        }
        for spoilt in ["", "hello", "key 7\nepoch epoch-1", "key"] {
            assert_eq!(Identity::parse(spoilt), Err(NotAnIdentity::Unreadable), "{spoilt:?}");
        }
        assert_eq!(Identity::parse(&format!("{whole}epoch epoch-1\n")), Err(NotAnIdentity::Unreadable), "twice");
    }
}
