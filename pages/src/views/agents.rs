//! Agents: all of them, as squares that are the darker the more is used, and as a table; and one.

use std::fmt::Write as _;

use askama::Template;
use haggle_core::cluster::{AgentView, PhaseView, TaskView};
use haggle_core::{Bytes, MilliCpu};
use serde_json::{Value, json};

use super::{View, found};
use crate::layout::Section;
use crate::link::Query;
use crate::parts::{Action, Badge, Bar, Choice, Pager, Word, count, counted};
use crate::record::{AgentRecord, TaskRecord};
use crate::text::{printable, window};
use crate::views::tasks::TaskRow;
use crate::why::span;

/// Squares of one page: more than a screen has room for are none that anybody looks at.
const SQUARES: usize = 1_000;

/// What becomes of an agent.
pub(super) fn agent_state(agent: &AgentView) -> Badge {
    match (agent.withdrawal, agent.connected, agent.draining) {
        (_, false, _) => Badge::new(Word::Failed, "away"),
        (Some(withdrawal), ..) => {
            let word = match withdrawal.phase {
                PhaseView::Deactivated => "deactivated",
                PhaseView::Draining { .. } => "draining",
                PhaseView::Drained => "drained",
            };
            Badge { title: format!("for {}", span(withdrawal.age)), ..Badge::new(Word::Starting, word) }
        }
        (None, true, true) => Badge::new(Word::Starting, "leaving"),
        (None, true, false) => Badge::new(Word::Running, "up"),
    }
}

/// Squares of one colour, drawn at once: a thousand of them take less than a page's text.
struct Squares {
    class: &'static str,
    path: String,
}

/// Row of an agent.
struct AgentRow {
    id: String,
    name: String,
    state: Badge,
    cpu: Bar,
    mem: Bar,
    tasks: String,
}

fn bars(agent: &AgentView) -> (Bar, Bar, Bar) {
    let all = &agent.info.resources;
    let bytes = |bytes: u64| Bytes::new(bytes).to_string();
    (
        Bar::of_uses("CPU", [agent.used.cpus.get(), agent.offered.cpus.get(), all.cpus.get()], |milli| {
            MilliCpu::new(milli).as_cores().to_string()
        }),
        Bar::of_uses("Memory", [agent.used.mem.get(), agent.offered.mem.get(), all.mem.get()], bytes),
        Bar::of_uses("Disk", [agent.used.disk.get(), agent.offered.disk.get(), all.disk.get()], bytes),
    )
}

/// All agents.
#[derive(Template)]
#[template(path = "agents.html")]
pub struct AgentsPage {
    query: String,
    /// What a new text leaves as it is.
    hidden: Vec<(&'static str, String)>,
    choices: Vec<Choice>,
    /// By what the list can be sorted.
    sorts: [Choice; 4],
    squares: Vec<Squares>,
    squares_height: usize,
    squares_left_out: usize,
    rows: Vec<AgentRow>,
    pager: Pager,
    is_filtered: bool,
    master: String,
    agents: Vec<AgentView>,
}

impl AgentsPage {
    /// Of those that somebody sees, what the address selects.
    pub fn new(query: &Query, mut agents: Vec<AgentView>, master: String) -> Self {
        let (text, state) = (query.get("q"), query.get("state"));
        agents.retain(|agent| {
            let id = agent.id.to_string();
            let attributes: Vec<String> =
                agent.info.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut within = vec![id.as_str(), &agent.info.name];
            within.extend(attributes.iter().map(String::as_str));
            let is_of_state = match (state, agent.connected, agent.withdrawal.is_some() || agent.draining) {
                ("up", connected, resting) => connected && !resting,
                ("resting", connected, resting) => connected && resting,
                ("away", connected, _) => !connected,
                _ => true,
            };
            is_of_state && (text.is_empty() || found(text, &within))
        });
        match query.get("sort") {
            "cpu" => agents.sort_by_key(|agent| std::cmp::Reverse(agent.used.cpus)),
            "memory" => agents.sort_by_key(|agent| std::cmp::Reverse(agent.used.mem)),
            "tasks" => agents.sort_by_key(|agent| std::cmp::Reverse(agent.tasks)),
            "name" => agents.sort_by(|one, other| one.info.name.cmp(&other.info.name)),
            _ => {}
        }
        let drawn = agents.len().min(SQUARES);
        let squares = squares(&agents[..drawn]);
        let choice = |label: &str, value: &str, class| Choice {
            label: label.to_owned(),
            url: query.with("state", value).on("/agents"),
            is_chosen: state == value,
            class,
        };
        let choices = vec![
            choice("all", "", ""),
            choice("up", "up", "running"),
            choice("take no tasks", "resting", "starting"),
            choice("away", "away", "failed"),
        ];
        let sort = |label: &str, value: &str, class| Choice {
            label: label.to_owned(),
            url: query.with("sort", value).on("/agents"),
            is_chosen: query.get("sort") == value,
            class,
        };
        let sorts = [
            sort("Name", "name", ""),
            sort("CPU", "cpu", ""),
            sort("Memory", "memory", ""),
            sort("Tasks", "tasks", "num"),
        ];
        let kept = ["state", "sort"].into_iter().filter(|name| !query.get(name).is_empty());
        let pager = Pager::new("/agents", query, agents.len(), "agent");
        let left_out = agents.len().saturating_sub(SQUARES);
        let range = Pager::range(query, agents.len());
        let agents: Vec<AgentView> = agents.drain(range).collect();
        Self {
            query: text.to_owned(),
            hidden: kept.map(|name| (name, query.get(name).to_owned())).collect(),
            choices,
            sorts,
            squares_height: drawn.div_ceil(COLUMNS) * 12,
            squares,
            squares_left_out: left_out,
            rows: agents.iter().map(row).collect(),
            pager,
            is_filtered: !(text.is_empty() && state.is_empty()),
            master,
            agents,
        }
    }
}

/// Squares in one line.
const COLUMNS: usize = 50;

/// The colours: how much is used, by quarters, of an agent that is there; and of one that is not.
const CLASSES: [&str; 7] = ["load0", "load1", "load2", "load3", "load4", "rests", "away"];

fn squares(agents: &[AgentView]) -> Vec<Squares> {
    let mut squares = CLASSES.map(|class| Squares { class, path: String::new() });
    for (at, agent) in agents.iter().enumerate() {
        let (x, y) = (at % COLUMNS * 12, at / COLUMNS * 12);
        let _ = write!(squares[class(agent)].path, "M{x} {y}h10v10h-10z");
    }
    squares.into_iter().filter(|squares| !squares.path.is_empty()).collect()
}

fn class(agent: &AgentView) -> usize {
    let quarters = |used: u64, all: u64| (u128::from(used) * 4).checked_div(u128::from(all)).unwrap_or(0).min(4);
    let all = &agent.info.resources;
    match (agent.connected, agent.withdrawal.is_some() || agent.draining) {
        (false, _) => 6,
        (true, true) => 5,
        (true, false) => {
            let load =
                quarters(agent.used.cpus.get(), all.cpus.get()).max(quarters(agent.used.mem.get(), all.mem.get()));
            usize::try_from(load).unwrap_or(4)
        }
    }
}

fn row(agent: &AgentView) -> AgentRow {
    let (cpu, mem, _) = bars(agent);
    AgentRow {
        id: agent.id.to_string(),
        name: printable(&agent.info.name),
        state: agent_state(agent),
        cpu,
        mem,
        tasks: agent.tasks.to_string(),
    }
}

impl View for AgentsPage {
    fn title(&self) -> String {
        "Agents".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Agents)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let agents: Vec<AgentRecord<'_>> = self.agents.iter().map(Into::into).collect();
        json!({ "agents": agents, "shown": self.pager.text, "next": self.pager.behind })
    }
}

/// What an agent tells of itself beside its heartbeats.
#[derive(Clone, Debug, Default)]
pub struct AboutAgent {
    /// Of `haggle`.
    pub version: String,
    /// What runs its tasks.
    pub engine: String,
    /// Processes in which tasks run.
    pub executors: u64,
    /// Artifacts that it keeps, their bytes, and how many these may be.
    pub cache: (u64, u64, u64),
    /// Artifacts that tasks needed and that were there, were fetched, could not be had.
    pub artifacts: (u64, u64, u64),
    /// Compiled modules that tasks needed and that were there, were compiled, could not be.
    pub modules: (u64, u64, u64),
}

impl AboutAgent {
    fn facts(&self) -> Vec<(String, String)> {
        let (kept, bytes, most) = self.cache;
        let (found, fetched, missed) = self.artifacts;
        let (known, compiled, failed) = self.modules;
        let but =
            |failed: u64| if failed == 0 { String::new() } else { format!(", {} could not be had", count(failed)) };
        let facts = [
            ("Version", printable(&self.version)),
            ("Runs tasks with", printable(&self.engine)),
            ("Executors", count(self.executors)),
            ("Cache", format!("{}, {} of {}", counted(kept, "artifact"), Bytes::new(bytes), Bytes::new(most))),
            ("Artifacts needed", format!("{} were there, {} fetched{}", count(found), count(fetched), but(missed))),
            ("Modules needed", format!("{} were there, {} compiled{}", count(known), count(compiled), but(failed))),
        ];
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// One agent.
#[derive(Template)]
#[template(path = "agent.html")]
pub struct AgentPage {
    id: String,
    name: String,
    state: Badge,
    bars: Vec<Bar>,
    facts: Vec<(String, String)>,
    reserved: Vec<(String, String)>,
    tasks: Vec<TaskRow>,
    more_tasks: bool,
    actions: Vec<Action>,
    agent: AgentView,
    views: Vec<TaskView>,
}

impl AgentPage {
    /// An agent with some of its tasks, and what it told since it connected. `may_withdraw`: whoever looks may deactivate, drain and
    /// reactivate.
    pub fn new(
        agent: AgentView,
        about: Option<&AboutAgent>,
        views: Vec<TaskView>,
        more_tasks: bool,
        may_withdraw: bool,
    ) -> Self {
        let (cpu, mem, disk) = bars(&agent);
        let mut facts = vec![("Tasks".to_owned(), counted(agent.tasks as u64, "task"))];
        if !agent.revocable.is_zero() {
            facts
                .push(("Unused by its tasks".to_owned(), format!("{} cpu, offered again", agent.revocable.as_cores())));
        }
        if agent.volumes > 0 {
            facts.push(("Volumes".to_owned(), format!("{} with {}", agent.volumes, agent.kept)));
        }
        if let Some(when) = agent.unavailability {
            let (start, end) = window(when);
            facts.push(("Maintenance".to_owned(), format!("from {start} to {end}")));
        }
        facts.extend(about.map(AboutAgent::facts).unwrap_or_default());
        for (name, value) in &agent.info.attributes {
            facts.push((printable(name), printable(value)));
        }
        let reserved = agent.reserved.iter().map(|part| {
            let reserved = &part.reserved;
            (printable(reserved.reservation.role()), format!("{}, of which {} is used", reserved.resources, part.used))
        });
        Self {
            id: agent.id.to_string(),
            name: printable(&agent.info.name),
            state: agent_state(&agent),
            bars: vec![cpu, mem, disk],
            facts,
            reserved: reserved.collect(),
            tasks: views.iter().map(TaskRow::new).collect(),
            more_tasks,
            actions: if may_withdraw { actions(&agent) } else { Vec::new() },
            agent,
            views,
        }
    }
}

fn actions(agent: &AgentView) -> Vec<Action> {
    let id = agent.id;
    let action = |label, verb: &str, command: String, what, ends| Action {
        label,
        url: format!("/agents/{id}/{verb}"),
        command,
        what,
        ends,
    };
    match agent.withdrawal {
        Some(_) => {
            vec![action("Reactivate", "reactivate", format!("haggle undrain {id}"), "It takes tasks again.", false)]
        }
        None => vec![
            action(
                "Deactivate",
                "deactivate",
                format!("haggle agents deactivate {id}"),
                "It takes no new tasks; those that run go on.",
                false,
            ),
            action(
                "Drain",
                "drain",
                format!("haggle drain {id} --grace 10m"),
                "It takes no new tasks; those that run are ended after ten minutes.",
                true,
            ),
        ],
    }
}

impl View for AgentPage {
    fn title(&self) -> String {
        format!("{} · {}", self.id, self.name)
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Agents)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let tasks: Vec<TaskRecord> = self.views.iter().map(Into::into).collect();
        json!({ "agent": AgentRecord::from(&self.agent), "tasks": tasks, "more_tasks": self.more_tasks })
    }
}
