//! What is remembered as rows: one for each launch, so that what is settled takes no room.

use haggle_etcd::{Batch, EtcdError, KeyValue, text};

use crate::store::{Entry, Memory, line};

/// The names of everything that is kept, all below one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn below(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    /// Made under the lease of the instance that holds the store.
    pub(super) fn lock(&self) -> String {
        self.key("lock")
    }

    /// The name of that instance's last write.
    pub(super) fn last_write(&self) -> String {
        self.key("last-write")
    }

    /// Entries that are too many for one transaction, until all their rows are written.
    pub(super) fn pending(&self) -> String {
        self.key("pending")
    }

    /// What is remembered.
    pub(super) fn memory(&self) -> String {
        self.key("memory/")
    }

    pub(super) fn last_number(&self) -> String {
        self.key("memory/last")
    }

    fn member(&self) -> String {
        self.key("memory/member")
    }

    fn note(&self) -> String {
        self.key("memory/note")
    }

    fn launched(&self, number: u64) -> String {
        self.key(&format!("memory/launched/{number:020}"))
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

/// Adds the rows of `entries`, where `last` is the highest number so far. Written again, they say the same.
pub(super) fn add(batch: &mut Batch, keys: &Keys, entries: &[Entry], last: u64) {
    for entry in entries {
        let row = || line::write(std::slice::from_ref(entry)).into_bytes();
        match entry {
            Entry::Joined(_) => batch.put(keys.member(), row()),
            Entry::Launched { number, .. } => batch.put(keys.launched(*number), row()),
            Entry::Ended { number } => batch.delete(keys.launched(*number)),
            Entry::Noted(note) if note.is_empty() => batch.delete(keys.note()),
            Entry::Noted(_) => batch.put(keys.note(), row()),
        }
    }
    let now = highest(entries, last);
    if now > last {
        batch.put(keys.last_number(), line::last(now).into_bytes());
    }
}

/// The highest number of a launch, `last` among them.
pub(super) fn highest(entries: &[Entry], last: u64) -> u64 {
    let numbers = entries.iter().filter_map(|entry| match entry {
        Entry::Launched { number, .. } => Some(*number),
        _ => None,
    });
    numbers.fold(last, u64::max)
}

/// What rows say.
pub(super) fn read(rows: &[KeyValue]) -> Result<Memory, EtcdError> {
    let mut memory = Memory::default();
    for row in rows {
        for entry in &entries(row)? {
            memory.apply(entry);
        }
    }
    Ok(memory)
}

pub(super) fn entries(row: &KeyValue) -> Result<Vec<Entry>, EtcdError> {
    let line = text(row);
    line::read(line.trim_end_matches('\n')).ok_or_else(|| {
        EtcdError::Unreadable(String::from_utf8_lossy(&row.key).into_owned(), format!("{line:?} is of something else"))
    })
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, ClusterId, FrameworkId, Member};
    use haggle_etcd::{delete, put};

    use super::*;
    use crate::store::Launched;

    fn launched(number: u64) -> Entry {
        Entry::Launched { number, launched: Launched { agent: AgentId(2), name: "a\nb".to_owned() } }
    }

    fn transactions(entries: &[Entry], last: u64) -> Vec<haggle_etcd::RequestOp> {
        let mut batch = Batch::default();
        add(&mut batch, &Keys::below("/f"), entries, last);
        batch.into_transactions(Vec::new()).concat()
    }

    #[test]
    fn what_is_settled_leaves_no_row_but_the_highest_number() {
        let settled =
            [launched(3), Entry::Noted("x".to_owned()), Entry::Ended { number: 3 }, Entry::Noted(String::new())];

        let operations = transactions(&settled, 2);

        let launch = delete("/f/memory/launched/00000000000000000003");
        assert_eq!(operations, [launch, delete("/f/memory/note"), put("/f/memory/last", "last 3\n")]);
    }

    #[test]
    fn rows_say_what_the_entries_said() {
        let member = Member { cluster: ClusterId(7), id: FrameworkId(3) };
        let said = [Entry::Joined(member), launched(1), launched(2), Entry::Noted("note".to_owned())];
        let row = |value: String| KeyValue { key: b"k".to_vec(), value: value.into_bytes(), ..Default::default() };
        let rows: Vec<_> = said.iter().map(|entry| row(line::write(std::slice::from_ref(entry)))).collect();

        let memory = read(&[rows, vec![row(line::last(9))]].concat()).unwrap();

        assert_eq!((memory.member, memory.last_number, memory.note.as_str()), (Some(member), 9, "note"));
        assert_eq!(memory.launched.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(memory.launched[&1].name, "a\nb");
    }

    #[test]
    fn a_row_of_something_else_is_named() {
        let row = KeyValue { key: b"/f/memory/x".to_vec(), value: b"hello".to_vec(), ..Default::default() };

        let error = read(&[row]).unwrap_err();

        assert_eq!(error.to_string(), "/f/memory/x in etcd cannot be read: \"hello\" is of something else");
    }
}
