//! The end of what a task writes, as lines for a terminal.

use std::collections::VecDeque;

use haggle_sdk::OutputStream;

use crate::output::printable;

/// Lines that are kept.
const LINES: usize = 2000;

/// Letters of one line that are kept; what is wider than a screen is not read there.
const WIDTH: usize = 1000;

/// What was read so far.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) stream: OutputStream,
    lines: VecDeque<String>,
    /// Bytes of a line that has not ended.
    open: Vec<u8>,
    /// Why there is no more; `Ok` when all was read.
    pub(super) ended: Option<Result<(), String>>,
}

impl Log {
    pub(super) fn new(stream: OutputStream) -> Self {
        Self { stream, lines: VecDeque::new(), open: Vec::new(), ended: None }
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, piece: &[u8]) {
        for (place, part) in piece.split(|&byte| byte == b'\n').enumerate() {
            if place > 0 {
                let line = self.open_line();
                self.open.clear();
                self.lines.push_back(line);
                if self.lines.len() > LINES {
                    self.lines.pop_front();
                }
            }
            let room = (4 * WIDTH).saturating_sub(self.open.len());
            self.open.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    /// The last lines, `above` further ones below them left out.
    pub(super) fn last(&self, count: usize, above: usize) -> Vec<String> {
        let open = (!self.open.is_empty()).then(|| self.open_line());
        let all = self.len();
        let end = all - above.min(all.saturating_sub(count));
        self.lines.iter().cloned().chain(open).take(end).skip(end.saturating_sub(count)).collect()
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len() + usize::from(!self.open.is_empty())
    }

    /// A tab is as wide as four blanks, wherever it stands.
    fn open_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.open);
        let text: String = text.trim_end_matches('\r').chars().take(WIDTH).collect();
        printable(&text.replace('\t', "    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(pieces: &[&str]) -> Log {
        let mut log = Log::new(OutputStream::Stdout);
        pieces.iter().for_each(|piece| log.take(piece.as_bytes()));
        log
    }

    #[test]
    fn lines_are_put_together_from_pieces_and_the_last_are_shown() {
        let log = log(&["one\ntw", "o\r\n", "thr", "ee"]);

        assert_eq!(log.last(10, 0), ["one", "two", "three"]);
        assert_eq!(log.last(2, 0), ["two", "three"]);
        assert_eq!(log.last(2, 1), ["one", "two"]);
        assert_eq!(log.last(2, 99), ["one", "two"]);
    }

    #[test]
    fn what_a_task_writes_does_nothing_to_the_terminal() {
        let log = log(&["\u{1b}[2J\u{1b}]0;x\u{7}\tred\u{202e}\n"]);

        assert_eq!(log.last(1, 0), ["\\u{1b}[2J\\u{1b}]0;x\\u{7}    red\\u{202e}"]);
    }

    #[test]
    fn a_task_that_writes_without_end_takes_no_more_than_its_part() {
        let mut log = log(&[]);

        log.take(&b"x\n".repeat(LINES));
        for _ in 0..10 {
            log.take(&[b'x'; 9000]);
            log.take(b"\n");
        }

        assert_eq!(log.len(), LINES);
        assert!(log.last(10, 0).iter().all(|line| line.len() == WIDTH));
    }
}
