//! How often each word occurs. A word is a longest run of ASCII letters; upper case counts as lower case.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

/// How many words a summary names.
const MOST_FREQUENT: usize = 10;

/// How often each word occurs in what was read so far.
#[derive(Default)]
pub struct Counts {
    of: HashMap<Vec<u8>, u64>,
}

impl Counts {
    /// Counts the words of a text. Holds a piece of it at a time, so that memory follows the different words and
    /// not the length of the text.
    pub fn read(&mut self, text: &mut impl BufRead) -> io::Result<()> {
        let mut word = Vec::new();
        loop {
            let piece = text.fill_buf()?;
            if piece.is_empty() {
                self.end(&mut word);
                return Ok(());
            }
            for byte in piece {
                if byte.is_ascii_alphabetic() {
                    word.push(byte.to_ascii_lowercase());
                } else {
                    self.end(&mut word);
                }
            }
            let read = piece.len();
            text.consume(read);
        }
    }

    /// Adds counts that were [printed](Self::print).
    pub fn merge(&mut self, printed: &mut impl BufRead) -> io::Result<()> {
        for line in printed.lines() {
            let line = line?;
            let (word, count) = line
                .split_once('\t')
                .and_then(|(word, count)| Some((word, count.parse().ok()?)))
                .ok_or_else(|| io::Error::other(format!("wanted a line of word<TAB>count, got {line:?}")))?;
            self.add(word.as_bytes(), count);
        }
        Ok(())
    }

    /// Prints a line `word<TAB>count` for each word, sorted by word.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let mut words: Vec<_> = self.of.iter().collect();
        words.sort_unstable();
        for (word, count) in words {
            out.write_all(word)?;
            writeln!(out, "\t{count}")?;
        }
        Ok(())
    }

    /// Prints how many words there are, and the most frequent ones.
    pub fn summarise(&self, out: &mut impl Write) -> io::Result<()> {
        let mut words: Vec<_> = self.of.iter().map(|(word, count)| (u64::MAX - count, count, word)).collect();
        words.sort_unstable();
        writeln!(out, "{} words, {} different", self.of.values().sum::<u64>(), self.of.len())?;
        for (_, count, word) in words.into_iter().take(MOST_FREQUENT) {
            writeln!(out, "{count} {}", String::from_utf8_lossy(word))?;
        }
        Ok(())
    }

    fn end(&mut self, word: &mut Vec<u8>) {
        if !word.is_empty() {
            self.add(word, 1);
            word.clear();
        }
    }

    fn add(&mut self, word: &[u8], count: u64) {
        // Looked up before it is owned: most words are old ones, and need no allocation.
        match self.of.get_mut(word) {
            Some(sum) => *sum += count,
            None => {
                self.of.insert(word.to_vec(), count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(counts: &Counts) -> String {
        let mut out = Vec::new();
        counts.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_are_runs_of_letters_in_lower_case() {
        let mut counts = Counts::default();

        counts.read(&mut &b"Don't count 42_words: fn Words() { caf\xC3\xA9 }"[..]).unwrap();

        assert_eq!(printed(&counts), "caf\t1\ncount\t1\ndon\t1\nfn\t1\nt\t1\nwords\t2\n");
    }

    #[test]
    fn a_word_across_two_pieces_is_one_word() {
        let text = "alpha beta gamma";
        for capacity in 1..text.len() {
            let mut counts = Counts::default();

            counts.read(&mut io::BufReader::with_capacity(capacity, text.as_bytes())).unwrap();

            assert_eq!(printed(&counts), "alpha\t1\nbeta\t1\ngamma\t1\n", "pieces of {capacity}");
        }
    }

    #[test]
    fn two_files_do_not_share_a_word() {
        let mut counts = Counts::default();

        counts.read(&mut &b"some"[..]).unwrap();
        counts.read(&mut &b"thing"[..]).unwrap();

        assert_eq!(printed(&counts), "some\t1\nthing\t1\n");
    }

    #[test]
    fn what_was_printed_merges_into_the_sum() {
        let mut counts = Counts::default();
        counts.read(&mut &b"a b a"[..]).unwrap();

        let first = printed(&counts);
        counts.merge(&mut first.as_bytes()).unwrap();

        assert_eq!(printed(&counts), "a\t4\nb\t2\n");
    }
}
