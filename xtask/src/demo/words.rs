//! The first act: the words of real text, counted by many tasks on all agents.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use anyhow::bail;

use super::cluster::Cluster;
use super::corpus::{Corpus, FILES};
use super::interrupt::Interrupt;
use super::launch::{Launch, words};
use super::stage::Stage;
use crate::workspace::Workspace;

/// What the tasks are called.
const NAME: &str = "wordcount";

/// How many of the most frequent words are shown.
const SHOWN: usize = 5;

/// Counts in the cluster and right here, and compares.
pub(super) fn show(
    workspace: &Workspace,
    stage: &Stage,
    cluster: &Cluster,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let corpus = Corpus::collect(workspace, stage.folder().join("text"))?;
    println!(
        "\n1. Word count: {:.1} MB of the sources that cargo fetched, in {FILES} files, by {FILES} tasks",
        corpus.bytes as f64 / 1e6
    );

    let started = Instant::now();
    let printed = Launch::start(stage, cluster, NAME, "wordcount", &flags(&corpus))?.wait(interrupt)?;
    let took = started.elapsed().as_secs_f64();
    let mut counted = HashMap::new();
    for line in printed.lines() {
        match count(line) {
            Some((word, count)) => *counted.entry(word.to_string()).or_default() += count,
            // The account at the end.
            None => println!("   {line}"),
        }
    }

    let natively = Instant::now();
    let expected = corpus.count()?;
    let natively = natively.elapsed().as_secs_f64();
    compare(&counted, &expected)?;

    println!(
        "   {took:.2} s on {} agents, uploads included; natively, on one thread: {natively:.2} s",
        cluster.agents_of(stage, NAME)?
    );
    println!("   {} words, {} different: the same as counted natively", total(&counted), counted.len());
    let mut frequent: Vec<_> = counted.into_iter().collect();
    frequent.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
    let frequent: Vec<_> = frequent.iter().take(SHOWN).map(|(word, count)| format!("{word} {count}")).collect();
    println!("   most frequent: {}", frequent.join(", "));
    Ok(())
}

/// One task for each file; which one is its own, each finds out by its index.
fn flags(corpus: &Corpus) -> Vec<String> {
    let mut flags = words(&format!("--instances {FILES} --cpus 0.5 --mem 64MiB --output-limit 8MiB --input"));
    flags.push(format!("/text={}", corpus.folder.display()));
    flags.extend(words("-- map --share"));
    flags.extend(corpus.names.iter().map(|name| format!("/text/{name}")));
    flags
}

/// What a line of a task says: `[7] word<TAB>count`, where 7 is the task's index. `None` for any other line.
fn count(line: &str) -> Option<(&str, u64)> {
    let (_, said) = line.strip_prefix('[')?.split_once("] ")?;
    let (word, count) = said.split_once('\t')?;
    Some((word, count.parse().ok()?))
}

fn compare(counted: &HashMap<String, u64>, expected: &HashMap<String, u64>) -> anyhow::Result<()> {
    let words: BTreeSet<&String> = counted.keys().chain(expected.keys()).collect();
    for word in words {
        let (got, wanted) = (counted.get(word).unwrap_or(&0), expected.get(word).unwrap_or(&0));
        if got != wanted {
            bail!("the cluster counted {word:?} {got} times, which occurs {wanted} times");
        }
    }
    Ok(())
}

fn total(counts: &HashMap<String, u64>) -> u64 {
    counts.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const N: usize>(counts: [(&str, u64); N]) -> HashMap<String, u64> {
        counts.map(|(word, count)| (word.to_string(), count)).into()
    }

    #[test]
    fn a_word_missing_on_either_side_is_noticed() {
        assert!(compare(&counts([("a", 1)]), &counts([("a", 1)])).is_ok());
        assert!(compare(&counts([("a", 1)]), &counts([("a", 1), ("b", 1)])).is_err());
        assert!(compare(&counts([("a", 1), ("b", 1)]), &counts([("a", 1)])).is_err());
        assert!(compare(&counts([("a", 2)]), &counts([("a", 1)])).is_err());
    }

    #[test]
    fn the_lines_of_tasks_are_told_from_others() {
        assert_eq!(count("[7] word\t12"), Some(("word", 12)));
        for other in ["", "FINISHED  48", "word\t12", "[7] word", "[7] word\tmany"] {
            assert_eq!(count(other), None, "{other}");
        }
    }
}
