//! The whole: what there is, what of it is used, what is wrong, and how the last hour was.

use std::time::Duration;

use askama::Template;
use haggle_core::cluster::{AgentView, Counts, Figures, FrameworkView, RoleView, Tally};
use haggle_core::{Bytes, Histogram, MilliCpu, TaskState};
use serde_json::{Value, json};

use super::View;
use super::agents::agent_state;
use crate::layout::Section;
use crate::link::encoded;
use crate::parts::{Bar, Word, count, counted, took};
use crate::record::ResourcesRecord;
use crate::text::printable;

/// Problems that are named.
const PROBLEMS: usize = 8;

/// The last hour, minute by minute.
#[derive(Clone, Debug, Default)]
pub struct Hour {
    /// Tasks that started in each minute, the latest last.
    pub starts: Vec<u64>,
    /// How long they took to start, all together.
    pub latency: Vec<(Option<Duration>, u64)>,
}

/// What only those know who see everything.
#[derive(Debug)]
pub struct Whole {
    /// How much there is.
    pub figures: Figures,
    /// How many there are.
    pub counts: Counts,
    /// What happened since this master leads.
    pub tally: Tally,
    /// What happened of late.
    pub hour: Hour,
}

/// The first page.
#[derive(Template)]
#[template(path = "cluster.html")]
pub struct ClusterPage {
    cluster: String,
    version: String,
    epoch: u64,
    /// How to reach it, for commands that are shown.
    master: String,
    whole: Option<Whole>,
    bars: Vec<Bar>,
    states: Vec<(&'static str, String, String)>,
    problems: Vec<Problem>,
    more_problems: usize,
    agents_text: String,
    frameworks_text: String,
    frameworks: Vec<(String, String, String)>,
    starts: Vec<(String, String, String, String)>,
    starts_text: String,
    latency: String,
    has_agents: bool,
    has_tasks: bool,
}

struct Problem {
    class: &'static str,
    text: String,
    url: String,
    action: &'static str,
}

impl ClusterPage {
    /// Of what somebody sees: `whole` is `None` for whoever does not see all. Of agents and frameworks so many are looked at
    /// as were handed over.
    pub fn new(
        (cluster, version, epoch): (String, &str, u64),
        master: String,
        whole: Option<Whole>,
        agents: &[AgentView],
        frameworks: &[FrameworkView],
        roles: &[RoleView],
    ) -> Self {
        let (problems, more_problems) = problems(agents, frameworks, roles);
        let mut leading: Vec<&FrameworkView> = frameworks.iter().collect();
        leading.sort_by_key(|framework| std::cmp::Reverse((framework.used.cpus, framework.tasks)));
        let row = |framework: &&FrameworkView| {
            let used = format!("{} cpu, {}", framework.used.cpus.as_cores(), framework.used.mem);
            (
                framework.id.to_string(),
                printable(&framework.info.name),
                format!("{}, {}", counted(framework.tasks as u64, "task"), used),
            )
        };
        let page = Self {
            cluster,
            version: version.to_owned(),
            epoch,
            master,
            bars: bars(agents, whole.as_ref()),
            states: states(whole.as_ref(), frameworks),
            problems,
            more_problems,
            agents_text: agents_text(agents, whole.as_ref()),
            frameworks_text: counted(
                whole.as_ref().map_or(frameworks.len(), |whole| whole.counts.frameworks) as u64,
                "framework",
            ),
            frameworks: leading.iter().take(5).map(row).collect(),
            starts: whole.as_ref().map(|whole| columns(&whole.hour.starts)).unwrap_or_default(),
            starts_text: String::new(),
            latency: whole.as_ref().map(|whole| percentiles(&whole.hour.latency)).unwrap_or_default(),
            has_agents: whole.as_ref().map_or(!agents.is_empty(), |whole| whole.counts.agents > 0),
            has_tasks: whole.as_ref().is_some_and(|whole| whole.tally.launched() > 0 || whole.counts.tasks > 0),
            whole,
        };
        let starts_text = page.whole.as_ref().map(|whole| starts_text(&whole.hour.starts)).unwrap_or_default();
        Self { starts_text, ..page }
    }
}

/// Of all agents that are there: as metrics count, or of those that are seen.
fn bars(agents: &[AgentView], whole: Option<&Whole>) -> Vec<Bar> {
    let there = || agents.iter().filter(|agent| agent.connected);
    let sum = |of: fn(&AgentView) -> u64| there().map(of).fold(0_u64, u64::saturating_add);
    let [cpus, mem, disk] = match whole {
        Some(Whole { figures, .. }) => [
            [figures.used.cpus.get(), figures.offered.cpus.get(), figures.total.cpus.get()],
            [figures.used.mem.get(), figures.offered.mem.get(), figures.total.mem.get()],
            [figures.used.disk.get(), figures.offered.disk.get(), figures.total.disk.get()],
        ],
        None => [
            [
                sum(|one| one.used.cpus.get()),
                sum(|one| one.offered.cpus.get()),
                sum(|one| one.info.resources.cpus.get()),
            ],
            [sum(|one| one.used.mem.get()), sum(|one| one.offered.mem.get()), sum(|one| one.info.resources.mem.get())],
            [
                sum(|one| one.used.disk.get()),
                sum(|one| one.offered.disk.get()),
                sum(|one| one.info.resources.disk.get()),
            ],
        ],
    };
    let bytes = |bytes: u64| Bytes::new(bytes).to_string();
    vec![
        Bar::of_uses("CPU", cpus, |milli| format!("{} cpu", MilliCpu::new(milli).as_cores())),
        Bar::of_uses("Memory", mem, bytes),
        Bar::of_uses("Disk", disk, bytes),
    ]
}

/// Tasks by the five words: those that are known now, and of those that ended how many since this master leads.
fn states(whole: Option<&Whole>, frameworks: &[FrameworkView]) -> Vec<(&'static str, String, String)> {
    let Some(Whole { tally, .. }) = whole else {
        let held: usize = frameworks.iter().map(|framework| framework.tasks).sum();
        return vec![("running", count(held as u64), "/tasks".to_owned())];
    };
    let numbers = Word::ALL.map(|word| match word {
        Word::Done | Word::Failed => {
            tally.ended().filter(|(state, ..)| Word::of(*state) == word).map(|(.., count)| count).sum::<u64>()
        }
        _ => {
            let of_word = TaskState::ALL.into_iter().filter(|state| Word::of(*state) == word);
            of_word.map(|state| tally.tasks(state) as u64).sum()
        }
    });
    let link = |word: Word| format!("/tasks?state={}", word.name());
    Word::ALL.into_iter().zip(numbers).map(|(word, number)| (word.name(), count(number), link(word))).collect()
}

fn agents_text(agents: &[AgentView], whole: Option<&Whole>) -> String {
    match whole {
        Some(Whole { figures, .. }) => {
            let away = figures.agents_disconnected + figures.agents_unreachable;
            let resting = figures.agents_draining + figures.agents_withdrawn;
            let up = counted(figures.agents_active as u64, "agent");
            format!("{up} up, {} that take no tasks, {} away", count(resting as u64), count(away as u64))
        }
        None => format!("{} with something of yours", counted(agents.len() as u64, "agent")),
    }
}

/// What is wrong first, and who waits.
fn problems(agents: &[AgentView], frameworks: &[FrameworkView], roles: &[RoleView]) -> (Vec<Problem>, usize) {
    let away = agents.iter().filter(|agent| !agent.connected).map(|agent| Problem {
        class: "failed",
        text: format!(
            "{} ({}) is away, with {}",
            agent.id,
            printable(&agent.info.name),
            counted(agent.tasks as u64, "task")
        ),
        url: format!("/agents/{}", agent.id),
        action: "look at it",
    });
    let gone = frameworks.iter().filter(|framework| !framework.connected).map(|framework| Problem {
        class: "failed",
        text: format!(
            "{} ({}) is disconnected, with {}",
            framework.id,
            printable(&framework.info.name),
            counted(framework.tasks as u64, "task")
        ),
        url: format!("/frameworks/{}", framework.id),
        action: "look at it",
    });
    let resting =
        agents.iter().filter(|agent| agent.connected && (agent.withdrawal.is_some() || agent.draining)).map(|agent| {
            Problem {
                class: "starting",
                text: format!("{} ({}) is {}", agent.id, printable(&agent.info.name), agent_state(agent).word),
                url: format!("/agents/{}", agent.id),
                action: "look at it",
            }
        });
    let waiting = roles.iter().filter(|role| role.waiting > 0 && role.frameworks > 0).map(|role| Problem {
        class: "waiting",
        text: format!("{} waits for room", printable(&role.name)),
        url: format!("/frameworks?q={}", encoded(&role.name)),
        action: "see why",
    });
    let mut found: Vec<Problem> = away.chain(gone).chain(resting).chain(waiting).collect();
    let more = found.len().saturating_sub(PROBLEMS);
    found.truncate(PROBLEMS);
    (found, more)
}

/// A column for each minute: where it stands, how high it is, and what it says.
fn columns(starts: &[u64]) -> Vec<(String, String, String, String)> {
    let most = starts.iter().copied().max().unwrap_or(0).max(1);
    let column = |(at, &number): (usize, &u64)| {
        let minutes = starts.len() - at;
        let height = (number as f64 * 38.0 / most as f64).max(if number > 0 { 1.0 } else { 0.0 });
        let text = format!("{minutes} min ago: {}", counted(number, "start"));
        ((at * 5).to_string(), format!("{:.1}", 40.0 - height), format!("{height:.1}"), text)
    };
    starts.iter().enumerate().map(column).collect()
}

fn starts_text(starts: &[u64]) -> String {
    let all: u64 = starts.iter().sum();
    let seconds = (starts.len() as u64 * 60).max(1);
    let rate = all as f64 / seconds as f64;
    match starts.len() {
        0 => "nothing is known of the last hour yet: the first minute is not over".to_owned(),
        minutes => format!("{} in {}, {rate:.2} a second", counted(all, "start"), counted(minutes as u64, "minute")),
    }
}

/// The bounds below which half of all are, and 99 of 100.
fn percentiles(buckets: &[(Option<Duration>, u64)]) -> String {
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return String::new();
    }
    let below = |hundredths: u64| {
        let mut seen = 0;
        for (bound, count) in buckets {
            seen += count;
            if seen * 100 >= all * hundredths {
                return bound.map_or_else(|| "more than 60 s".to_owned(), |bound| format!("≤ {}", took(bound)));
            }
        }
        String::new()
    };
    format!("half of them started in {}, 99 of 100 in {}", below(50), below(99))
}

/// What is in one histogram and was not in an earlier one.
impl Hour {
    /// Counts what came between two moments.
    pub fn latency_between(earlier: &Histogram, later: &Histogram) -> Vec<(Option<Duration>, u64)> {
        let pairs = later.buckets().zip(earlier.buckets());
        pairs.map(|((bound, later), (_, earlier))| (bound, later.saturating_sub(earlier))).collect()
    }
}

impl View for ClusterPage {
    fn title(&self) -> String {
        "Cluster".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Cluster)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let whole = self.whole.as_ref().map(|whole| {
            let Whole { figures, counts, tally, hour } = whole;
            let ended: Vec<Value> = tally
                .ended()
                .map(|(state, reason, count)| json!({ "state": state.name(), "reason": reason.map(|reason| reason.name()), "count": count }))
                .collect();
            json!({
                "total": ResourcesRecord::from(&figures.total),
                "used": ResourcesRecord::from(&figures.used),
                "offered": ResourcesRecord::from(&figures.offered),
                "agents": { "active": figures.agents_active, "draining": figures.agents_draining,
                    "withdrawn": figures.agents_withdrawn, "disconnected": figures.agents_disconnected,
                    "unreachable": figures.agents_unreachable },
                "frameworks": counts.frameworks,
                "offers": counts.offers,
                "tasks": TaskState::ALL.map(|state| json!({ "state": state.name(), "count": tally.tasks(state) })),
                "tasks_queued": counts.queued,
                "launched": tally.launched(),
                "ended": ended,
                "starts_by_minute": hour.starts,
            })
        });
        let problems: Vec<&str> = self.problems.iter().map(|problem| &*problem.text).collect();
        json!({ "cluster": self.cluster, "version": self.version, "epoch": self.epoch, "whole": whole, "problems": problems,
            "problems_left_out": self.more_problems })
    }
}
