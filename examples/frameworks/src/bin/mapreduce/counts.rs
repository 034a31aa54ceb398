//! How often each word occurs: as the tasks print it, and as it is counted here. A word is a longest run of ASCII
//! letters; upper case counts as lower case.

use std::collections::HashMap;

use anyhow::Context;

/// How often each word occurs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    of: HashMap<String, u64>,
}

impl Counts {
    /// Counts the words of a whole text.
    pub(crate) fn add_text(&mut self, text: &[u8]) {
        for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            // Letters of ASCII are UTF-8.
            self.add(&String::from_utf8_lossy(word).to_ascii_lowercase(), 1);
        }
    }

    /// Adds lines of a word, a tab and a count; how many lines there were.
    pub(crate) fn add_printed(&mut self, printed: &[u8]) -> anyhow::Result<usize> {
        let mut lines = 0;
        for line in std::str::from_utf8(printed)?.lines() {
            let (word, count) = read(line)?;
            self.add(word, count);
            lines += 1;
        }
        Ok(lines)
    }

    /// How many different words there are.
    pub(crate) fn different(&self) -> usize {
        self.of.len()
    }

    pub(crate) fn summary(&self) -> String {
        format!("{} words, {} different", self.of.values().sum::<u64>(), self.different())
    }

    /// The most frequent words, those of equal count in the order of the alphabet.
    pub(crate) fn most_frequent(&self, count: usize) -> Vec<(&str, u64)> {
        let mut words: Vec<_> = self.of.iter().map(|(word, &count)| (word.as_str(), count)).collect();
        words.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        words.truncate(count);
        words
    }

    /// The first word, by the alphabet, of which `expected` has another count.
    pub(crate) fn first_difference(&self, expected: &Self) -> Option<String> {
        let differs = |word: &&String| self.of.get(*word) != expected.of.get(*word);
        let word = self.of.keys().chain(expected.of.keys()).filter(differs).min()?;
        let times = |counts: &Self| counts.of.get(word).copied().unwrap_or(0);
        Some(format!("{word:?} was counted {} times, and occurs {} times", times(self), times(expected)))
    }

    fn add(&mut self, word: &str, count: u64) {
        // Looked up before it is owned: most words are old ones.
        match self.of.get_mut(word) {
            Some(sum) => *sum += count,
            None => {
                self.of.insert(word.to_owned(), count);
            }
        }
    }
}

/// Sorts the lines of a map task out into `parts`, every line of a word into the same part.
pub(crate) fn sort_out(printed: &[u8], parts: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut sorted = vec![Vec::new(); parts];
    let printed = std::str::from_utf8(printed).context("a map task printed something else than counts")?;
    for line in printed.lines() {
        let (word, _) = read(line)?;
        let part = &mut sorted[part_of(word, parts)];
        part.extend_from_slice(line.as_bytes());
        part.push(b'\n');
    }
    Ok(sorted)
}

/// The same for a word wherever and whenever it is asked: FNV-1a.
fn part_of(word: &str, parts: usize) -> usize {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    usize::try_from(hash % parts as u64).unwrap_or(0)
}

fn read(line: &str) -> anyhow::Result<(&str, u64)> {
    line.split_once('\t')
        .and_then(|(word, count)| Some((word, count.parse().ok()?)))
        .with_context(|| format!("wanted a word, a tab and a count, got {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Counts {
        let mut counts = Counts::default();
        counts.add_text(text.as_bytes());
        counts
    }

    #[test]
    fn words_are_runs_of_letters_in_lower_case() {
        let counts = counted("Don't count 42_words: fn Words() { café }");

        assert_eq!(counts.summary(), "7 words, 6 different");
        assert_eq!(counts.most_frequent(2), [("words", 2), ("caf", 1)]);
    }

    #[test]
    fn what_is_sorted_out_adds_up_to_the_whole_and_shares_no_word() {
        let printed = b"a\t1\nb\t2\nc\t3\nd\t4\ne\t5\n";
        let mut whole = Counts::default();
        assert_eq!(whole.add_printed(printed).unwrap(), 5);

        let mut sum = Counts::default();
        for part in sort_out(printed, 3).unwrap() {
            let before = sum.different();
            let lines = sum.add_printed(&part).unwrap();
            assert_eq!(sum.different(), before + lines);
        }

        assert_eq!(sum, whole);
    }

    #[test]
    fn a_difference_is_named() {
        assert_eq!(counted("a b").first_difference(&counted("b a")), None);
        assert_eq!(
            counted("a c").first_difference(&counted("a b b c")).as_deref(),
            Some("\"b\" was counted 0 times, and occurs 2 times")
        );
    }

    #[test]
    fn what_is_no_count_is_an_error() {
        assert!(Counts::default().add_printed(b"no tab").is_err());
        assert!(sort_out(b"word\tmany", 1).is_err());
    }
}
