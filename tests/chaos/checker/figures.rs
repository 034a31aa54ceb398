//! What a row is told in: figures with their spread, and bounds that they must keep.

use std::fmt::Write;

/// The figures of one row, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    lines: String,
    /// Bounds that were not kept, and whatever else the row found.
    pub(crate) violations: Vec<String>,
}

impl Figures {
    /// A number.
    pub(crate) fn count(&mut self, name: &str, count: usize) {
        let _ = writeln!(self.lines, "  {name}: {count}");
    }

    /// A number that must be 0.
    pub(crate) fn none(&mut self, name: &str, count: usize) {
        self.count(name, count);
        if count > 0 {
            self.violations.push(format!("{name}: {count}, must be 0"));
        }
    }

    /// Samples, with their middle and their worst.
    pub(crate) fn spread(&mut self, name: &str, unit: &str, samples: &[f64]) {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| quantile(samples, part));
        let n = samples.len();
        let _ =
            writeln!(self.lines, "  {name}: p50 {p50:.3} {unit}, p99 {p99:.3} {unit}, max {max:.3} {unit} (n = {n})");
    }

    /// Samples of which 99 of 100 must be below the bound.
    pub(crate) fn p99_below(&mut self, name: &str, unit: &str, bound: f64, samples: &[f64]) {
        self.spread(name, unit, samples);
        let p99 = quantile(samples, 0.99);
        if p99 >= bound {
            self.violations.push(format!("{name}: p99 {p99:.3} {unit}, must be below {bound} {unit}"));
        }
    }

    /// Samples of which each must be below the bound.
    pub(crate) fn all_below(&mut self, name: &str, unit: &str, bound: f64, samples: &[f64]) {
        self.spread(name, unit, samples);
        let max = quantile(samples, 1.0);
        if max >= bound {
            self.violations.push(format!("{name}: max {max:.3} {unit}, must be below {bound} {unit}"));
        }
    }

    /// As they are printed.
    pub(crate) fn text(&self) -> &str {
        &self.lines
    }
}

/// The sample below which this part of all lies; 0 without samples.
pub(crate) fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).ceil() as usize).copied().unwrap_or_default()
}
