//! What an interpreter costs before the first line of a script: as a task, and natively beside it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use haggle_kit::{Home, binary};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Effort;
use crate::executor::proc::{family, memory};
use crate::figure::{Figure, Goal};

/// Scripts in one turn of each kind. The turns alternate, so that all have the same machine.
const IN_A_TURN: usize = 5;

/// Tasks whose memory is compared.
const FEW: usize = 2;
const MANY: usize = 12;

/// Says that it has begun, and stays.
const STAYS: &str = "import time\nprint('hi', flush=True)\ntime.sleep(600)";

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let place = Place::new()?;
    for runtime in ["python", "javascript"] {
        let added = place.haggle(&["runtime", "add", runtime, "--quiet"]).status()?;
        anyhow::ensure!(added.success(), "there is no runtime {runtime}");
    }
    let (mut python, mut javascript, mut native) = (Vec::new(), Vec::new(), Vec::new());
    // The first turn compiles what was not compiled yet.
    for turn in 0..=effort.of(8, 1) {
        let tasks = (place.tasks("python", "print('hi')")?, place.tasks("javascript", "console.log('hi')")?);
        let natives = natives()?;
        if turn > 0 {
            python.extend(tasks.0);
            javascript.extend(tasks.1);
            native.push(natives);
        }
    }
    let figure = |name: &str, goal, samples| Figure::new(name, "ms of CPU", goal, samples);
    let python = figure("`print('hi')` in Python, as a task", Goal::Below(10.0), python);
    let native = figure("the same in this machine's own python3, a process each", Goal::Reported, native);
    let ratio = python.quantile(0.5) / native.quantile(0.5);
    Ok(vec![
        python,
        native,
        Figure::new("the task's beside the process's", "times", Goal::Below(1.0), vec![ratio]),
        figure("`console.log('hi')` in JavaScript, as a task", Goal::Below(2.0), javascript),
        unshared(&place, effort)?,
    ])
}

/// What a Python task that has begun holds and shares with nobody: what more of them hold more.
fn unshared(place: &Place, effort: Effort) -> anyhow::Result<Figure> {
    let mut samples = Vec::new();
    for _ in 0..effort.of(3, 1) {
        let (few, many) = (place.held_by(FEW)?, place.held_by(MANY)?);
        samples.push(many.saturating_sub(few) as f64 / (MANY - FEW) as f64 / f64::from(1 << 20));
    }
    Ok(Figure::new("memory of a Python task that is not shared with others", "MiB", Goal::AllBelow(5.0), samples))
}

struct Place {
    dir: TempDir,
    /// Outlives a run, so that runtimes are fetched and compiled once.
    cache: PathBuf,
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let programs = binary("haggle");
        let target = programs.parent().and_then(|folder| folder.parent()).context("a program lies in a folder")?;
        Ok(Self { dir: TempDir::new()?, cache: target.join("tmp") })
    }

    fn haggle(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("haggle"));
        Home::below(self.dir.path()).take_in(&mut command);
        command.args(args).env("XDG_CACHE_HOME", &self.cache).stdin(Stdio::null());
        command
    }

    /// Bytes of memory of their own that executors have while they hold so many Python tasks.
    fn held_by(&self, tasks: usize) -> anyhow::Result<u64> {
        let instances = tasks.to_string();
        let args = ["run", "-c", STAYS, "--runtime", "python", "--instances", &instances, "--cpus", "0.1"];
        let mut run = self.haggle(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let said = BufReader::new(run.stdout.take().context("its output is piped")?);
        let begun = said.lines().map_while(Result::ok).filter(|line| line.ends_with("hi")).take(tasks).count();
        let executors = family(run.id()).into_iter().skip(1);
        let held: anyhow::Result<u64> = executors.map(|pid| Ok(memory(pid, "smaps_rollup", "Anonymous")?.get())).sum();
        // It takes its executors along, as killed at once it would not.
        kill_process(Pid::from_child(&run), Signal::TERM)?;
        run.wait()?;
        anyhow::ensure!(begun == tasks, "{begun} of {tasks} tasks began");
        held
    }

    /// The CPU time of some tasks, in milliseconds.
    fn tasks(&self, runtime: &str, code: &str) -> anyhow::Result<Vec<f64>> {
        let instances = IN_A_TURN.to_string();
        let args = ["run", "-c", code, "--runtime", runtime, "--instances", &instances, "--json", "--quiet"];
        let output = self.haggle(&args).output()?;
        let ended = String::from_utf8_lossy(&output.stdout);
        let times = ended.lines().map(|line| {
            let task: serde_json::Value = serde_json::from_str(line)?;
            anyhow::ensure!(task["state"] == "FINISHED", "a task did not finish: {line}");
            task["usage"]["cpu_seconds"].as_f64().map(|seconds| seconds * 1e3).context("a task has used some CPU time")
        });
        let times = times.collect::<anyhow::Result<Vec<f64>>>()?;
        anyhow::ensure!(times.len() == IN_A_TURN, "{runtime}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(times)
    }
}

/// The CPU time of a process that does the same, in milliseconds: the mean of a turn, since a shell tells no less.
fn natives() -> anyhow::Result<f64> {
    // The system's own: on the path there may be the wrapper of a version manager, which takes several times as long.
    let python = Some("/usr/bin/python3").filter(|python| Path::new(python).exists()).unwrap_or("python3");
    let one = format!("{python} -c \"print('hi')\" > /dev/null || exit 1; ");
    let output = Command::new("sh").arg("-c").arg(one.repeat(IN_A_TURN) + "times").output()?;
    anyhow::ensure!(output.status.success(), "there is no python3 to compare with");
    let told = String::from_utf8_lossy(&output.stdout);
    let children = told.lines().nth(1).context("a shell tells its children's times")?;
    let mut seconds = 0.0;
    for time in children.split_whitespace() {
        let (minutes, rest) = time.split_once('m').context("a time has minutes")?;
        seconds += minutes.parse::<f64>()? * 60.0 + rest.trim_end_matches('s').parse::<f64>()?;
    }
    Ok(seconds * 1e3 / IN_A_TURN as f64)
}
