//! Sleeps for as many seconds as it is told: `sleeper SECONDS`.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    support::run(|args| {
        let wanted = args.first().ok_or("usage: sleeper SECONDS")?;
        thread::sleep(seconds(wanted)?);
        println!("slept for {wanted} s");
        Ok(())
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_fractions() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["-1", "soon", "", "NaN", "1e300"] {
            assert_eq!(seconds(text), Err(format!("{text:?} is not a number of seconds")));
        }
    }
}
