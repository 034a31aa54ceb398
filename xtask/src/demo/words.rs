//! The first act: the words of real text, counted by many tasks on all agents.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use anyhow::{Context, bail};

use super::cluster::Cluster;
use super::corpus::{Corpus, FILES};
use super::interrupt::Interrupt;
use super::launch::{Launch, logs, words};
use super::stage::Stage;
use crate::workspace::Workspace;

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
    let tasks = Launch::start(stage, cluster, "wordcount", "wordcount", &flags(&corpus))?.wait(interrupt)?;
    let took = started.elapsed().as_secs_f64();
    if let Some(bad) = tasks.iter().find(|task| task.state() != "FINISHED") {
        bail!("a word count ended as {} {}: {}", bad.state(), bad.reason().unwrap_or_default(), bad.message());
    }
    let agents: BTreeSet<&str> = tasks.iter().map(|task| task.agent()).collect();

    let mut counted = HashMap::new();
    for task in &tasks {
        interrupt.check()?;
        add(&mut counted, &logs(stage, cluster, task)?)?;
    }
    let natively = Instant::now();
    let expected = corpus.count()?;
    let natively = natively.elapsed().as_secs_f64();
    compare(&counted, &expected)?;

    println!(
        "   {} tasks on {} agents took {took:.2} s, uploads included; natively, on one thread: {natively:.2} s",
        tasks.len(),
        agents.len()
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

/// Adds what a task printed: lines of a word, a tab, and a count.
fn add(counts: &mut HashMap<String, u64>, printed: &str) -> anyhow::Result<()> {
    for line in printed.lines() {
        let (word, count) =
            line.split_once('\t').with_context(|| format!("wanted a word and a count, got {line:?}"))?;
        let count: u64 = count.parse().with_context(|| format!("wanted a count, got {count:?}"))?;
        *counts.entry(word.to_string()).or_default() += count;
    }
    Ok(())
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

    fn counts(printed: &str) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        add(&mut counts, printed).unwrap();
        counts
    }

    #[test]
    fn what_tasks_printed_adds_up() {
        let sum = counts("a\t2\nb\t1\na\t3\n");

        assert_eq!(sum, HashMap::from([("a".to_string(), 5), ("b".to_string(), 1)]));
        assert_eq!(total(&sum), 6);
    }

    #[test]
    fn a_word_missing_on_either_side_is_noticed() {
        assert!(compare(&counts("a\t1\n"), &counts("a\t1\n")).is_ok());
        assert!(compare(&counts("a\t1\n"), &counts("a\t1\nb\t1\n")).is_err());
        assert!(compare(&counts("a\t1\nb\t1\n"), &counts("a\t1\n")).is_err());
        assert!(compare(&counts("a\t2\n"), &counts("a\t1\n")).is_err());
    }

    #[test]
    fn a_line_that_is_no_count_is_an_error() {
        assert!(add(&mut HashMap::new(), "no tab").is_err());
        assert!(add(&mut HashMap::new(), "word\tmany").is_err());
    }
}
