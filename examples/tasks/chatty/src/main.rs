//! Floods its standard output: `chatty [BYTES]`; with an argument, falls silent after that many.

use std::io::{self, Write};
use std::process::ExitCode;

const LINE: &[u8] = b"and another thing that nobody asked about, and it goes on and on\n";

fn main() -> ExitCode {
    support::run(|args| {
        let most = match args.first() {
            Some(text) => text.parse().map_err(|_| format!("{text:?} is not a number of bytes"))?,
            None => u64::MAX,
        };
        talk(&mut io::stdout().lock(), most).map_err(|error| format!("cut off: {error}"))
    })
}

fn talk(listener: &mut impl Write, most: u64) -> io::Result<()> {
    let mut left = most;
    while left > 0 {
        let piece = LINE.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        listener.write_all(&LINE[..piece])?;
        left -= piece as u64;
    }
    listener.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_exactly_as_much_as_it_may() {
        for most in [0, 1, 64, 65, 66, 1_000] {
            let mut heard = Vec::new();

            talk(&mut heard, most).unwrap();

            assert_eq!(heard.len() as u64, most);
        }
    }

    #[test]
    fn it_ends_when_nobody_listens() {
        let mut ten_bytes = [0; 10];

        assert!(talk(&mut &mut ten_bytes[..], u64::MAX).is_err());
    }
}
