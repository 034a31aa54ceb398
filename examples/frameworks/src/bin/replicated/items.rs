//! What there is to do, and what of it is done.

use std::collections::BTreeSet;

use anyhow::Context;
use haggle_sdk::Memory;

/// How many items one look at an offer considers: more than any agent has room for.
const LOOK_AHEAD: usize = 256;

/// Items 0, 1, 2, … of which some are done.
pub(crate) struct Items {
    count: u32,
    done: BTreeSet<u32>,
}

impl Items {
    /// Reads which are done from the note that an earlier instance left.
    ///
    /// # Errors
    /// When the note is of something else.
    pub(crate) fn read(count: u32, note: &str) -> anyhow::Result<Self> {
        let numbers = note.split(',').filter(|number| !number.is_empty());
        let done = numbers.map(str::parse).collect::<Result<_, _>>().context("the store is of another program")?;
        Ok(Self { count, done })
    }

    /// What [`Self::read`] reads.
    pub(crate) fn note(&self) -> String {
        self.done.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn done(&self) -> usize {
        self.done.len()
    }

    pub(crate) fn are_done(&self) -> bool {
        (0..self.count).all(|item| self.done.contains(&item))
    }

    /// The names of the next ones that are neither done nor launched.
    pub(crate) fn left(&self, memory: &Memory) -> Vec<String> {
        let launched: BTreeSet<&str> = memory.launched.values().map(|launched| launched.name.as_str()).collect();
        let open = (0..self.count).filter(|item| !self.done.contains(item)).map(name);
        open.filter(|name| !launched.contains(name.as_str())).take(LOOK_AHEAD).collect()
    }

    /// The item of this name is done.
    pub(crate) fn finish(&mut self, of: &str) {
        self.done.extend((0..self.count).find(|&item| name(item) == of));
    }
}

fn name(item: u32) -> String {
    format!("item-{item}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_sdk::{AgentId, Launched};

    #[test]
    fn what_is_left_is_neither_done_nor_launched() {
        let mut items = Items::read(4, "0").unwrap();
        items.finish("item-2");
        let mut memory = Memory::default();
        memory.launched.insert(7, Launched { agent: AgentId(1), name: "item-1".to_owned() });

        assert_eq!(items.left(&memory), ["item-3"]);
        assert_eq!((items.note().as_str(), items.are_done()), ("0,2", false));
    }
}
