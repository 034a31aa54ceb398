//! The same figures from these programs and from those of another build, in turn, so that the machine's mood touches both
//! alike.

use std::env::consts::EXE_SUFFIX;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::Group;
use crate::figure::{Figure, Goal};

/// Medians of a group's figures, each as these programs' over the others': one sample for each turn.
///
/// `others` holds `haggle` and `haggle-bench` as an optimised build leaves them. Who goes first changes with each turn.
///
/// # Errors
/// When either is not measured, or the two do not measure the same.
pub(crate) fn measure(group: Group, others: &Path, turns: usize) -> anyhow::Result<Vec<Figure>> {
    anyhow::ensure!(turns > 0, "no turn gives no ratio");
    let mut ratios: Vec<(String, Vec<f64>)> = Vec::new();
    for turn in 0..turns {
        let (theirs, ours) = if turn % 2 == 0 {
            let theirs = of_others(group, others)?;
            (theirs, of_these(group)?)
        } else {
            let ours = of_these(group)?;
            (of_others(group, others)?, ours)
        };
        anyhow::ensure!(theirs.len() == ours.len(), "the others print {} figures, these {}", theirs.len(), ours.len());
        for (place, ((name, ours), (_, theirs))) in ours.into_iter().zip(theirs).enumerate() {
            if ratios.len() == place {
                ratios.push((name, Vec::new()));
            }
            ratios[place].1.push(ours / theirs);
        }
    }
    let figure = |(name, samples)| Figure::new(format!("{name}: over the others'"), "times", Goal::Reported, samples);
    Ok(ratios.into_iter().map(figure).collect())
}

fn of_these(group: Group) -> anyhow::Result<Vec<(String, f64)>> {
    medians(Command::new(std::env::current_exe()?), group)
}

fn of_others(group: Group, others: &Path) -> anyhow::Result<Vec<(String, f64)>> {
    let mut command = Command::new(others.join(format!("haggle-bench{EXE_SUFFIX}")));
    command.env("HAGGLE_TEST_BIN", others);
    medians(command, group)
}

/// The names and the medians of the rows that a benchmark prints.
fn medians(mut command: Command, group: Group) -> anyhow::Result<Vec<(String, f64)>> {
    let output = command.arg(group.name()).arg("--rows").output().with_context(|| format!("{command:?}"))?;
    let rows = String::from_utf8(output.stdout)?;
    let medians: Option<Vec<_>> = rows.lines().map(median).collect();
    medians
        .filter(|medians| !medians.is_empty())
        .with_context(|| format!("{command:?} printed no figures: {rows}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Of `| name | median unit | …`.
fn median(row: &str) -> Option<(String, f64)> {
    let mut columns = row.split('|').skip(1).map(str::trim);
    let name = columns.next()?.to_owned();
    let median = columns.next()?.split(' ').next()?.parse().ok()?;
    Some((name, median))
}
