//! `haggle-sim`: plays seeds, and says which of them break a promise.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use haggle_sim::{Report, run};

/// Failing seeds after which there is enough to look at.
const ENOUGH: usize = 10;

const USAGE: &str = "haggle-sim [--seeds N] [--from S] [--threads N] | --seed S [--trace]";

struct Args {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    trace: bool,
    threads: usize,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("{wrong}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.seed.is_none() {
        // What a panic says is told with its seed; where it was shows when that is played alone.
        std::panic::set_hook(Box::new(|_| {}));
    }
    match args.seed {
        Some(seed) => one(seed, args.trace),
        None => many(&args),
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let mut args = Args { seeds: 1_000, from: 0, seed: None, trace: false, threads };
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{text:?} is no number"))
        };
        match word.as_str() {
            "--seeds" => args.seeds = number()?,
            "--from" => args.from = number()?,
            "--seed" => args.seed = Some(number()?),
            "--threads" => args.threads = usize::try_from(number()?.max(1)).unwrap_or(1),
            "--trace" => args.trace = true,
            _ => return Err(format!("{word:?} is not known")),
        }
    }
    Ok(args)
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let report = run(seed, trace);
    for line in &report.lines {
        println!("{line}");
    }
    println!(
        "seed {seed}: {} events, {} masters, {} tasks started, {} ends told, log {:016x}",
        report.events, report.epochs, report.starts, report.ends, report.hash
    );
    match report.broken {
        Some(what) => {
            println!("seed {seed} breaks a promise {what}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn many(args: &Args) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let stop = AtomicBool::new(false);
    let broken: Mutex<Vec<Report>> = Mutex::new(Vec::new());
    let (events, starts, played) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let report = run(seed, false);
                    events.fetch_add(report.events, Ordering::Relaxed);
                    starts.fetch_add(report.starts, Ordering::Relaxed);
                    played.fetch_add(1, Ordering::Relaxed);
                    if let Some(what) = &report.broken {
                        println!("seed {seed} breaks a promise {what}");
                        let mut broken = broken.lock().expect("no thread panics");
                        broken.push(report);
                        if broken.len() >= ENOUGH {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let played = played.into_inner();
    println!(
        "{played} seeds from {}: {} events, {} tasks started, in {seconds:.1} s ({:.0} seeds/s)",
        args.from,
        events.into_inner(),
        starts.into_inner(),
        played as f64 / seconds
    );
    let broken = broken.into_inner().expect("no thread panics");
    if broken.is_empty() {
        println!("no promise was broken");
        return ExitCode::SUCCESS;
    }
    println!("{} broke a promise; look at one with --seed S --trace", broken.len());
    ExitCode::FAILURE
}
