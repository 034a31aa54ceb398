//! Which share of the work of an array of tasks is this task's.

use std::env;
use std::fmt;

use crate::number;

/// One of `count` equal shares, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    count: usize,
}

impl Share {
    /// The only share of the whole.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Share `index` of `count`; `index` must be below `count`.
    pub fn new(index: usize, count: usize) -> Result<Self, String> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(format!("no share {index} of {count}: shares are counted from 0"))
        }
    }

    /// The share that `HAGGLE_TASK_INDEX` and `HAGGLE_TASK_COUNT` name; the whole outside an array.
    pub fn from_env() -> Result<Self, String> {
        match (env::var("HAGGLE_TASK_INDEX"), env::var("HAGGLE_TASK_COUNT")) {
            (Ok(index), Ok(count)) => Self::parse(&index, &count),
            _ => Ok(Self::WHOLE),
        }
    }

    /// The share that two words of a command line name.
    pub fn parse(index: &str, count: &str) -> Result<Self, String> {
        Self::new(number(index)?, number(count)?)
    }

    /// Which share this is, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many shares there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether item `at` of a list is in this share. Neighbours go to different shares, so that a list sorted by
    /// size is spread evenly.
    pub fn takes(self, at: usize) -> bool {
        at % self.count == self.index
    }

    /// The part of `0..length` that is this share, in one piece. All shares together are the whole range.
    pub fn range(self, length: usize) -> std::ops::Range<usize> {
        length * self.index / self.count..length * (self.index + 1) / self.count
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn shares_cover_a_range_once_and_in_order() {
        for count in 1..9 {
            let pieces = (0..count).flat_map(|index| Share::new(index, count).unwrap().range(100));

            assert!(pieces.eq(0..100), "{count} shares");
        }
    }

    #[test]
    fn every_item_is_in_exactly_one_share() {
        for at in 0..20 {
            let takers = (0..3).filter(|&index| Share::new(index, 3).unwrap().takes(at)).count();

            assert_eq!(takers, 1);
        }
    }

    #[test]
    fn a_share_beyond_the_last_is_refused() {
        assert_eq!(Share::parse("3", "3"), Err("no share 3 of 3: shares are counted from 0".to_string()));
        assert!(Share::new(0, 0).is_err());
        assert!(Share::parse("one", "3").is_err());
    }
}
