//! One task: its life as a line of dots, its quotas beside what it used, why it waits, and the end of what it writes.

use std::time::Duration;

use askama::Template;
use haggle_core::cluster::{Life, TaskView, Why};
use haggle_core::{Bytes, Exceeded, Now, Reason, Resources, TaskState, Usage};
use serde_json::{Value, json};

use super::View;
use super::life::{Dot, Looked};
use crate::layout::Section;
use crate::parts::{Action, Badge, Bar, count, lines, took};
use crate::record::{TaskRecord, UsageRecord, WhyRecord};
use crate::text::printable;
use crate::views::tasks::role_url;
use crate::why;

/// The end of what a task wrote.
#[derive(Clone, Debug)]
pub struct LogTail {
    /// `stdout` or `stderr`, as addresses have it.
    pub stream: &'static str,
    /// What was read, or why nothing was.
    pub text: Result<Vec<u8>, String>,
    /// From which byte on; 0: from the start.
    pub from: u64,
}

struct LogView {
    stream: &'static str,
    name: &'static str,
    text: String,
    trouble: String,
    is_cut: bool,
    from: String,
    next: u64,
    url: String,
}

/// One task.
#[derive(Template)]
#[template(path = "task.html")]
pub struct TaskPage {
    id: String,
    name: String,
    state: Badge,
    dots: Vec<Dot>,
    /// The same for programs.
    steps: Value,
    bars: Vec<Bar>,
    facts: Vec<(&'static str, String)>,
    framework: String,
    agent: String,
    role: String,
    role_url: String,
    message: String,
    waits: Vec<String>,
    waits_title: &'static str,
    logs: Vec<LogView>,
    kill: Option<Action>,
    again: Option<Action>,
    follows: bool,
    command: String,
    is_told_later: bool,
    /// Whether it is looked at how fast it uses processors.
    plots: bool,
    task: TaskView,
    seen: Seen,
}

/// What is seen of a task beside how it stands, and when.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As this master heard of it.
    pub life: Life,
    /// What its framework waits for, when the task itself does.
    pub why: Option<Why>,
    /// What it has used so far, when it runs and its agent said so.
    pub so_far: Option<Usage>,
    /// Where its module was fetched from, the latest last, as far as whoever looks may know that.
    pub origins: Vec<String>,
    /// By the cluster's own clock.
    pub now: Now,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
}

/// What whoever looks may do to it.
#[derive(Clone, Debug, Default)]
pub struct May {
    /// Have it ended.
    pub kill: bool,
    /// Have it run again, or why that cannot be done. `None`: it may not.
    pub again: Option<Result<(), String>>,
}

impl TaskPage {
    /// A task as it stands.
    pub fn new(task: TaskView, seen: Seen, logs: &[LogTail], may: May) -> Self {
        let status = &task.status;
        let usage = status.usage.or(seen.so_far);
        let has_ended = status.state.is_terminal();
        let kill = (may.kill && !has_ended).then(|| Action {
            label: "Kill",
            url: format!("/tasks/{}/kill", task.id),
            command: format!("haggle kill {}", task.id),
            what: "It is asked to end, and ended by force after its time of grace.",
            ends: true,
        });
        let again = matches!(may.again, Some(Ok(()))).then(|| Action {
            label: "Run again",
            url: format!("/tasks/{}/again", task.id),
            command: format!("haggle again {}", task.id),
            what: "A new task is launched with what this one was launched with, in your name.",
            ends: false,
        });
        let mut facts = vec![("State", status.state.to_string())];
        if let Some(reason) = status.reason {
            facts.push(("Reason", reason.to_string()));
        }
        if let Some(code) = status.exit_code {
            facts.push(("Exit code", code.to_string()));
        }
        if let (Some(exceeded), Some(reason)) = (status.exceeded, status.reason) {
            facts.push(("Limit", exceeded_in_words(exceeded, reason)));
        }
        if let Some(module) = task.module {
            facts.push(("Module", module.to_string()));
        }
        if let Some(latest) = seen.origins.last() {
            facts.push(("Fetched from", printable(latest)));
        }
        if let Some(group) = task.group {
            facts.push(("Group", format!("{} with {} tasks", group.id(task.id.framework), group.size)));
        }
        if let Some(usage) = usage {
            if !usage.throttled.is_zero() {
                facts.push(("Held back", format!("for {}, as it had used its cpus", took(usage.throttled))));
            }
            facts.push(("Fuel used", count(usage.fuel.get())));
            facts.push(("Written", usage.output.to_string()));
            facts.push(("Over the network", usage.net.to_string()));
        }
        if let Some(Err(why)) = may.again {
            facts.push(("Run again", why));
        }
        let Seen { life, now, wall_ms, .. } = seen;
        let life = Looked { life, state: status.state, usage: status.usage, now, wall_ms };
        let (waits_title, waits) = waits(&task, seen.why.as_ref());
        Self {
            id: task.id.to_string(),
            name: printable(&task.name),
            state: Badge::of_task(status.state, status.reason),
            dots: life.dots(),
            steps: life.record(),
            bars: bars(&task.resources, usage),
            is_told_later: !has_ended && usage.is_none(),
            plots: status.state == TaskState::Running && !task.is_allocation,
            facts,
            framework: task.id.framework.to_string(),
            agent: task.agent.to_string(),
            role: printable(&task.role),
            role_url: role_url(&task.role),
            message: printable(&status.message),
            waits,
            waits_title,
            logs: logs.iter().map(|log| log_view(&task, log)).collect(),
            kill,
            again,
            follows: !has_ended,
            command: format!("haggle logs {} --follow", task.id),
            task,
            seen,
        }
    }
}

/// Why it does not run, when it does not and has not ended.
fn waits(task: &TaskView, why: Option<&Why>) -> (&'static str, Vec<String>) {
    let title = match task.status.state {
        TaskState::Staging => "It is on its way to its agent",
        TaskState::Starting => "Its agent fetches or compiles what it needs",
        TaskState::Unreachable => "Its agent is silent; the task may still run, and may come back",
        _ => return ("", Vec::new()),
    };
    let lines = why.map(why::lines).unwrap_or_default();
    (title, lines.iter().map(|line| printable(line)).collect())
}

/// What it was given, and what it used of that; of the rate of its processor what it had on average.
fn bars(given: &Resources, usage: Option<Usage>) -> Vec<Bar> {
    let bytes = |bytes: u64| Bytes::new(bytes).to_string();
    let Some(usage) = usage else {
        let none = |label, limit: u64, shown: &dyn Fn(u64) -> String| {
            let mut bar = Bar::of_limit(label, 0, limit, shown);
            bar.short = shown(limit);
            bar.text = format!("{} given", shown(limit));
            bar
        };
        let cpus = |milli: u64| format!("{} cpu", milli as f64 / 1000.0);
        return vec![
            none("CPU", given.cpus.get(), &cpus),
            none("Memory", given.mem.get(), &bytes),
            none("Disk", given.disk.get(), &bytes),
        ];
    };
    let rate = usage.cpu.as_secs_f64() * 1000.0 / usage.wall.max(Duration::from_micros(1)).as_secs_f64();
    vec![
        Bar::of_limit("CPU rate, averaged", rate as u64, given.cpus.get(), |milli| {
            format!("{:.2} cpu", milli as f64 / 1000.0)
        }),
        Bar::of_limit("Memory, at most", usage.peak_mem.get(), given.mem.get(), bytes),
        Bar::of_limit("Disk, at most", usage.peak_disk.get(), given.disk.get(), bytes),
    ]
}

fn exceeded_in_words(exceeded: Exceeded, reason: Reason) -> String {
    let shown = |number: u64| match reason {
        Reason::MemoryLimit | Reason::DiskLimit | Reason::OutputLimit => Bytes::new(number).to_string(),
        Reason::TimeLimit => took(Duration::from_millis(number)),
        Reason::FuelExhausted => format!("{} of fuel", count(number)),
        _ => count(number),
    };
    let (limit, used) = (shown(exceeded.limit), shown(exceeded.used));
    match exceeded.used.checked_sub(exceeded.limit) {
        // Sizes are shown in three digits or so, and often it is little that was too much.
        Some(more) if used.replace(".0 ", " ") == limit => {
            format!("{limit} were granted, and {} more were wanted when it acted", shown(more))
        }
        _ => format!("{limit} were granted, {used} were wanted when it acted"),
    }
}

fn log_view(task: &TaskView, log: &LogTail) -> LogView {
    let name = if log.stream == "stderr" { "Standard error" } else { "Standard output" };
    let url = format!("/tasks/{}/{}", task.id, log.stream);
    let (text, trouble, next) = match &log.text {
        Ok(bytes) => (lines(&String::from_utf8_lossy(bytes)), String::new(), log.from + bytes.len() as u64),
        Err(why) => (String::new(), printable(why), 0),
    };
    LogView {
        stream: log.stream,
        name,
        text,
        trouble,
        is_cut: log.from > 0,
        from: Bytes::new(log.from).to_string(),
        next,
        url,
    }
}

impl View for TaskPage {
    fn title(&self) -> String {
        format!("{} · {}", self.id, self.name)
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Tasks)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({
            "task": TaskRecord::from(&self.task),
            "module_sources": self.seen.origins,
            "life": self.steps,
            "usage_so_far": self.seen.so_far.map(UsageRecord::from),
            "why": self.seen.why.as_ref().map(WhyRecord::from),
        })
    }
}
