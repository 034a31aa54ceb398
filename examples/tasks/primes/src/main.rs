//! Counts the primes below its argument: `primes N`.

use std::process::ExitCode;

/// Numbers sieved at a time: what fits a first-level cache, so that memory stays small however large `N` is.
const SEGMENT: u64 = 32 * 1024;

/// Above this, squares of the small primes no longer fit 64 bits, and no task would live to see the end.
const LARGEST: u64 = 1 << 50;

fn main() -> ExitCode {
    support::run(|args| {
        let wanted = args.first().ok_or("usage: primes N")?;
        let below = wanted
            .parse()
            .ok()
            .filter(|&below| below <= LARGEST)
            .ok_or_else(|| format!("{wanted:?} is not a whole number up to {LARGEST}"))?;
        println!("{}", primes_below(below));
        Ok(())
    })
}

/// A segmented sieve of Eratosthenes.
fn primes_below(below: u64) -> u64 {
    let small = small_primes(below.isqrt() + 1);
    let mut composite = vec![false; SEGMENT as usize];
    let mut found = 0;
    for start in (0..below).step_by(SEGMENT as usize) {
        let end = below.min(start + SEGMENT);
        composite.fill(false);
        for &prime in small.iter().take_while(|&&prime| prime * prime < end) {
            let first = (prime * prime).max(start.next_multiple_of(prime));
            for multiple in (first..end).step_by(prime as usize) {
                composite[(multiple - start) as usize] = true;
            }
        }
        found += (start.max(2)..end).filter(|number| !composite[(number - start) as usize]).count() as u64;
    }
    found
}

/// The primes up to and with `last`, by the plain sieve.
fn small_primes(last: u64) -> Vec<u64> {
    let mut composite = vec![false; last as usize + 1];
    let mut primes = Vec::new();
    for number in 2..=last {
        if !composite[number as usize] {
            primes.push(number);
            (number * number..=last).step_by(number as usize).for_each(|multiple| composite[multiple as usize] = true);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::primes_below;

    #[test]
    fn the_first_counts_are_those_of_trial_division() {
        let prime = |number: u64| number > 1 && (2..number).all(|divisor| !number.is_multiple_of(divisor));
        for below in 0..500 {
            assert_eq!(primes_below(below), (0..below).filter(|&number| prime(number)).count() as u64, "below {below}");
        }
    }

    #[test]
    fn powers_of_ten_have_their_known_counts() {
        assert_eq!(primes_below(100_000), 9_592);
        assert_eq!(primes_below(1_000_000), 78_498);
    }

    #[test]
    fn a_bound_on_the_edge_of_a_segment_counts_the_same() {
        let edge = 3 * super::SEGMENT;
        let steps: u64 = (edge - 50..edge + 50).map(|n| primes_below(n + 1) - primes_below(n)).sum();
        assert_eq!(steps, primes_below(edge + 50) - primes_below(edge - 50));
    }
}
