//! Eats memory until it is denied: `hungry [MIB]`; with an argument, until it has had enough.

use std::hint::black_box;
use std::process::ExitCode;

const MIB: usize = 1024 * 1024;

fn main() -> ExitCode {
    support::run(|args| {
        let enough = match args.first() {
            Some(text) => text.parse().map_err(|_| format!("{text:?} is not a number of MiB"))?,
            None => usize::MAX,
        };
        // An allocation that is denied aborts, as in any Rust program: the guest dies of its own hunger.
        let hoard = eat(enough);
        println!("ate {} MiB", hoard.len());
        Ok(())
    })
}

fn eat(enough: usize) -> Vec<Vec<u8>> {
    let mut hoard = Vec::new();
    while hoard.len() < enough {
        // Written to, so that the memory is there and not only promised.
        hoard.push(black_box(vec![0xAA; MIB]));
    }
    hoard
}

#[cfg(test)]
mod tests {
    use super::{MIB, eat};

    #[test]
    fn it_stops_when_it_has_had_enough() {
        let hoard = eat(3);

        assert_eq!(hoard.iter().map(Vec::len).sum::<usize>(), 3 * MIB);
    }
}
