//! One measured figure: its samples, its unit, and what it must reach.

use std::fmt;

/// What a figure must reach, in the figure's unit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The median must be below.
    Below(f64),
    /// So must 99 of 100 samples.
    P99Below(f64),
    /// So must every sample.
    AllBelow(f64),
    /// The median must be at least this.
    AtLeast(f64),
    /// The figure stands for comparison.
    Reported,
}

/// Samples of one thing, measured in one run.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// The unit of the samples.
    pub(crate) unit: &'static str,
    /// What the samples must reach.
    pub(crate) goal: Goal,
    /// In rising order, not empty.
    samples: Vec<f64>,
}

impl Figure {
    /// A figure of at least one sample.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, goal: Goal, mut samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "a figure has samples");
        samples.sort_by(f64::total_cmp);
        Self { name: name.into(), unit, goal, samples }
    }

    /// The sample below which `part` of all samples lie.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let last = self.samples.len() - 1;
        self.samples[((last as f64) * part).round() as usize]
    }

    /// Whether the samples reach the goal.
    pub(crate) fn reached(&self) -> bool {
        match self.goal {
            Goal::Below(bound) => self.quantile(0.5) < bound,
            Goal::P99Below(bound) => self.quantile(0.99) < bound,
            Goal::AllBelow(bound) => self.quantile(1.0) < bound,
            Goal::AtLeast(bound) => self.quantile(0.5) >= bound,
            Goal::Reported => true,
        }
    }

    /// How many samples there are.
    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(bound) => write!(f, "< {bound}"),
            Self::P99Below(bound) => write!(f, "p99 < {bound}"),
            Self::AllBelow(bound) => write!(f, "all < {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::Reported => f.write_str("-"),
        }
    }
}

impl fmt::Display for Figure {
    /// A row of a Markdown table: name, median, spread, goal, verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, p99, most] = [0.5, 0.0, 0.99, 1.0].map(|part| digits(self.quantile(part)));
        let Self { name, unit, goal, .. } = self;
        let verdict = if self.reached() { "yes" } else { "**no**" };
        let count = self.count();
        write!(f, "| {name} | {median} {unit} | {least} / {p99} / {most} | {count} | {goal} | {verdict} |")
    }
}

/// What lies in the middle of ratios.
pub(crate) fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

/// What lies in the middle of samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The sample below which `part` of all lie.
pub(crate) fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(((sorted.len() - 1) as f64) * part).round() as usize]
}

/// Three significant digits, as far as they are before or near the point.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
