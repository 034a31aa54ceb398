//! The recording framework as a process.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use haggle_core::TaskState;
use haggle_kit::record::{Entry, Line, read_record, read_record_from};
use haggle_kit::{Daemon, binary, until};

use super::World;

/// Between two looks at its record.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a recorder launches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    /// Tasks that end at once, each second.
    pub(crate) rate: u32,
    /// Tasks that run until the recorder is asked to end.
    pub(crate) sleepers: usize,
}

/// A running recorder.
pub(crate) struct Recorder {
    process: Daemon,
    args: Vec<String>,
    record: PathBuf,
    log: PathBuf,
}

impl Recorder {
    /// Starts one, and waits until its lasting tasks run and others have ended.
    pub(crate) async fn start(world: &World, load: Load) -> Self {
        let record = world.dir().join(format!("{}.record", load.name));
        let log = world.dir().join(format!("{}.log", load.name));
        let flags = [
            ["--master", &world.url()],
            ["--record", &record.display().to_string()],
            ["--name", load.name],
            ["--noop", &world.noop.to_string()],
            ["--sleeper", &world.sleeper.to_string()],
            ["--rate", &load.rate.to_string()],
            ["--sleepers", &load.sleepers.to_string()],
        ];
        let args: Vec<String> = flags.into_iter().flatten().map(str::to_owned).collect();
        let process = Daemon::spawn(&binary("haggle-recorder"), &args, log.clone());
        let mut recorder = Self { process, args, record, log };
        until("the recorder's tasks run", async || {
            tokio::time::sleep(LOOK_EVERY).await;
            recorder.check();
            let lines = recorder.lines();
            (sleeping(&lines) >= load.sleepers && lines.iter().any(is_end)).then_some(())
        })
        .await;
        recorder
    }

    /// What it has written so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        read_record(&self.record).unwrap_or_default()
    }

    /// Waits until a task that is launched from now on has finished.
    pub(crate) async fn served(&self) {
        let length = std::fs::metadata(&self.record).map_or(0, |file| file.len());
        until("a task that is launched now finishes", async || {
            tokio::time::sleep(LOOK_EVERY).await;
            let lines = read_record_from(&self.record, length).ok()?;
            let first = lines.iter().find_map(|line| match &line.entry {
                Entry::Accept { tasks, .. } => tasks.first().map(|launch| launch.task),
                _ => None,
            })?;
            let is_done = |line: &Line| matches!(&line.entry, Entry::Update(heard) if heard.task >= first && heard.state == TaskState::Finished);
            lines.iter().any(is_done).then_some(())
        })
        .await;
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, with the same record.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        self.process = Daemon::spawn(&binary("haggle-recorder"), &self.args, self.log.clone());
    }

    /// Lets it end: it launches no more, and waits for the ends of its tasks, but not for ever. Gives its record.
    pub(crate) async fn drain(mut self) -> Vec<Line> {
        self.check();
        self.process.terminate();
        until("the recorder has ended", async || {
            tokio::time::sleep(LOOK_EVERY).await;
            (!self.process.is_running()).then_some(())
        })
        .await;
        self.lines()
    }

    /// Panics when it has ended.
    fn check(&mut self) {
        assert!(self.process.is_running(), "the recorder has ended: {}", self.process.log());
    }
}

/// Lasting tasks that were heard to run.
fn sleeping(lines: &[Line]) -> usize {
    let launches = lines.iter().filter_map(|line| match &line.entry {
        Entry::Accept { tasks, .. } => Some(tasks),
        _ => None,
    });
    let lasting: BTreeSet<u64> = launches.flatten().filter(|launch| launch.lasting).map(|launch| launch.task).collect();
    let running = lines.iter().filter_map(|line| match &line.entry {
        Entry::Update(heard) if heard.state == TaskState::Running => Some(heard.task),
        _ => None,
    });
    running.collect::<BTreeSet<_>>().intersection(&lasting).count()
}

fn is_end(line: &Line) -> bool {
    matches!(&line.entry, Entry::Update(heard) if heard.state.is_terminal())
}
