//! The same figures from these programs and from older ones, in turn, so that the machine's mood touches both alike.

use std::env::consts::EXE_SUFFIX;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::Group;
use crate::figure::{Figure, Goal};

/// Medians of a group's figures, each as these programs' over the older ones': one sample for each turn.
///
/// `older` holds `haggle` and `haggle-bench` as an optimised build leaves them. Who goes first changes with each turn.
///
/// # Errors
/// When either is not measured, or the two do not measure the same.
pub(crate) fn measure(group: Group, older: &Path, turns: usize) -> anyhow::Result<Vec<Figure>> {
    anyhow::ensure!(turns > 0, "no turn gives no ratio");
    let mut ratios: Vec<(String, Vec<f64>)> = Vec::new();
    for turn in 0..turns {
        let (old, new) = if turn % 2 == 0 {
            let old = of_older(group, older)?;
            (old, of_these(group)?)
        } else {
            let new = of_these(group)?;
            (of_older(group, older)?, new)
        };
        anyhow::ensure!(old.len() == new.len(), "the older programs print {} figures, these {}", old.len(), new.len());
        for (place, ((name, new), (_, old))) in new.into_iter().zip(old).enumerate() {
            if ratios.len() == place {
                ratios.push((name, Vec::new()));
            }
            ratios[place].1.push(new / old);
        }
    }
    let figure =
        |(name, samples)| Figure::new(format!("{name}: over the older programs'"), "times", Goal::Reported, samples);
    Ok(ratios.into_iter().map(figure).collect())
}

fn of_these(group: Group) -> anyhow::Result<Vec<(String, f64)>> {
    medians(Command::new(std::env::current_exe()?), group)
}

fn of_older(group: Group, older: &Path) -> anyhow::Result<Vec<(String, f64)>> {
    let mut command = Command::new(older.join(format!("haggle-bench{EXE_SUFFIX}")));
    command.env("HAGGLE_TEST_BIN", older);
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
