//! How far something that is fetched has come: as a bar, or, where nobody sees one, in a line now and then.

use std::time::{Duration, Instant};

use haggle_core::Bytes;
use haggle_sources::Source;
use indicatif::{ProgressBar, ProgressStyle};

use super::printable;
use super::printer::draws_progress;

/// Between two lines, and before the first: what is quick needs none.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Shows it on standard error until it is dropped.
pub(crate) struct Fetching {
    name: String,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Fetching {
    /// Of which nothing has come yet.
    pub(crate) fn of(source: &Source) -> Self {
        Self::named(printable(&source.to_string()))
    }

    /// The same of something else, by a name that can be printed.
    pub(crate) fn named(name: String) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}").ok();
        let bar = style.filter(|_| draws_progress());
        let bar = bar.map(|style| ProgressBar::new(0).with_style(style).with_message(name.clone()));
        Self { name, bar, told: Instant::now() }
    }

    /// So many bytes are here, of so many; 0: that is not known.
    pub(crate) fn has(&mut self, got: u64, size: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(size);
            bar.set_position(got);
        } else if let Some(line) = self.line(got, size, Instant::now()) {
            eprintln!("{line}");
        }
    }

    fn line(&mut self, got: u64, size: u64, now: Instant) -> Option<String> {
        if now.saturating_duration_since(self.told) < TELL_EVERY {
            return None;
        }
        self.told = now;
        let of = if size == 0 { String::new() } else { format!(" of {}", Bytes::new(size)) };
        Some(format!("{}: {}{of} fetched", self.name, Bytes::new(got)))
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_told_now_and_then_and_what_is_quick_is_not() {
        let began = Instant::now();
        let name = "oci://registry.example/app:1".to_owned();
        let mut fetching = Fetching { name, bar: None, told: began };
        let mut after = |seconds, size| fetching.line(3 << 20, size, began + Duration::from_secs(seconds));

        assert_eq!(after(4, 12 << 20), None);
        assert_eq!(after(5, 12 << 20).unwrap(), "oci://registry.example/app:1: 3 MiB of 12 MiB fetched");
        assert_eq!(after(9, 12 << 20), None, "one was told at 5 s");
        assert_eq!(after(10, 0).unwrap(), "oci://registry.example/app:1: 3 MiB fetched");
    }
}
