//! Word count by map and reduce: many tasks on all agents, with one framework.

mod counts;
mod input;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use haggle_examples::{Master, upload_module};
use haggle_sdk::{Bytes, Client, Digest, Progress, Runner, Session, Task};

use counts::Counts;
use input::Split;
use work::Crew;

/// How many of the most frequent words are shown.
const SHOWN: usize = 10;

/// A lost or failed task is launched again this often.
const RETRIES: u32 = 2;

/// Room for what a map task prints beyond twice its input. One word of one letter, a tab, a count and a line feed
/// take four bytes for two of input; every other word takes less.
const OUTPUT_SLACK: Bytes = Bytes::from_kib(64);

/// Counts the words of all files in a folder.
///
/// The files are split over map tasks, which count the words of their files. What they print is sorted out by word,
/// so that every reduce task gets all counts of its words, and adds them up. At the end the result is compared with
/// one that was counted right here.
///
/// Try it: `haggle up --agents 3` in one terminal, this on a folder of text in another.
#[derive(Parser)]
struct Args {
    /// The folder; everything in it and below is counted
    folder: PathBuf,

    #[command(flatten)]
    master: Master,

    /// The module of the tasks: `wordcount map FILE…` and `wordcount reduce FILE…`
    #[arg(long, value_name = "PATH", default_value = "target/wasm/wordcount.wasm")]
    module: PathBuf,

    /// How many map tasks
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1000))]
    maps: u16,

    /// How many reduce tasks
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    reduces: u16,

    /// The processor time of each task
    #[arg(long, value_name = "CORES", default_value = "0.5")]
    cpus: String,

    /// The memory of each task: it holds every different word of its share
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    mem: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let files = input::find(&args.folder)?;
    let size: u64 = files.iter().map(|file| file.size).sum();
    println!("{} files, {}, in {}", files.len(), Bytes::new(size), args.folder.display());

    let client = args.master.connect().await?;
    let module = upload_module(&client, &args.module).await?;
    let session = Runner::new(&client).name("mapreduce").retries(RETRIES).start_with(tell_waiting).await?;
    println!("registered as {}", session.framework());

    let began = Instant::now();
    let mut crew = Crew::new(&client, &session);
    let job = Job { args, client: &client, module };
    let splits = input::split(files.clone(), usize::from(args.maps));
    let counted = count(&job, &mut crew, &splits).await;
    let by_agent = crew.summary().await;
    close(session).await;
    let counted = counted?;
    println!("{} in {:.2?}", counted.summary(), began.elapsed());
    for line in by_agent? {
        println!("  {line}");
    }
    println!("the most frequent words:");
    for (word, count) in counted.most_frequent(SHOWN) {
        println!("  {count:>10} {word}");
    }

    let began = Instant::now();
    let native = tokio::task::spawn_blocking(move || input::count(&files)).await??;
    if let Some(difference) = counted.first_difference(&native) {
        bail!("does not match the native count: {difference}");
    }
    println!("matches the native count, which took {:.2?} on one thread", began.elapsed());
    Ok(())
}

fn tell_waiting(progress: &Progress) {
    if let Progress::Waiting { waiting, why, .. } = progress {
        println!("{waiting} tasks wait: {why}");
    }
}

async fn close(session: Session) {
    let framework = session.framework();
    session.close().await;
    println!("unregistered {framework}");
}

/// What is the same for every task.
struct Job<'a> {
    args: &'a Args,
    client: &'a Client,
    module: Digest,
}

impl Job<'_> {
    fn task(&self, name: String, command: &str, output_limit: Bytes) -> Task {
        Task::new(self.module)
            .name(name)
            .arg(command)
            .cpus(self.args.cpus.as_str())
            .mem(self.args.mem.as_str())
            .output_limit(output_limit)
    }
}

async fn count(job: &Job<'_>, crew: &mut Crew<'_>, splits: &[Split]) -> anyhow::Result<Counts> {
    let mut maps = Vec::with_capacity(splits.len());
    for (index, split) in splits.iter().enumerate() {
        let limit = Bytes::new(split.size().saturating_mul(2)).saturating_add(OUTPUT_SLACK);
        let mut map = job.task(format!("map-{index}"), "map", limit);
        for (at, file) in split.files().iter().enumerate() {
            let content = job.client.upload(&file.path).await?;
            let path = format!("/in/{at}");
            map = map.input(&path, content).arg(path);
        }
        maps.push(map);
    }
    println!("uploaded the input, launching {} map tasks", maps.len());
    let mapped = crew.run("map", maps).await?;

    let parts = usize::from(job.args.reduces);
    let mut sorted_out = vec![Vec::new(); parts];
    for printed in &mapped {
        for (part, lines) in sorted_out.iter_mut().zip(counts::sort_out(printed, parts)?) {
            part.push(lines);
        }
    }
    let mut reduces = Vec::with_capacity(parts);
    for (index, part) in sorted_out.into_iter().enumerate() {
        // Adding up counts makes lines fewer, and a number at most as long as all that went into it.
        let size: usize = part.iter().map(Vec::len).sum();
        let limit = Bytes::new(size as u64).saturating_add(OUTPUT_SLACK);
        let mut reduce = job.task(format!("reduce-{index}"), "reduce", limit);
        for (at, lines) in part.into_iter().enumerate() {
            let path = format!("/in/{at}");
            reduce = reduce.input(&path, job.client.upload_bytes(lines).await?).arg(path);
        }
        reduces.push(reduce);
    }
    println!("sorted out the counts by word, launching {parts} reduce tasks");
    let reduced = crew.run("reduce", reduces).await?;

    let mut counted = Counts::default();
    for printed in &reduced {
        let before = counted.different();
        let lines = counted.add_printed(printed).context("a reduce task printed something else than counts")?;
        ensure!(counted.different() == before + lines, "a word was reduced by two tasks");
    }
    Ok(counted)
}
