//! Frameworks: all of them, and one with why it waits.

use askama::Template;
use haggle_core::cluster::{FrameworkView, TaskView, Why};
use serde_json::{Value, json};

use super::{View, found};
use crate::layout::Section;
use crate::link::Query;
use crate::parts::{Badge, Pager, Word, counted};
use crate::record::{FrameworkRecord, TaskRecord, WhyRecord};
use crate::text::printable;
use crate::views::tasks::TaskRow;
use crate::why;

fn state(framework: &FrameworkView) -> Badge {
    match (framework.connected, framework.suppressed) {
        (false, _) => Badge::new(Word::Failed, "disconnected"),
        (true, true) => Badge { title: "it asked for no offers".to_owned(), ..Badge::new(Word::Done, "suppressed") },
        (true, false) => Badge::new(Word::Running, "connected"),
    }
}

struct FrameworkRow {
    id: String,
    name: String,
    roles: String,
    state: Badge,
    cpu: String,
    mem: String,
    offered: String,
    tasks: String,
}

/// All that somebody sees.
#[derive(Template)]
#[template(path = "frameworks.html")]
pub struct FrameworksPage {
    query: String,
    rows: Vec<FrameworkRow>,
    pager: Pager,
    is_filtered: bool,
    frameworks: Vec<FrameworkView>,
}

impl FrameworksPage {
    /// What the address selects of them: those that hold most first.
    pub fn new(query: &Query, mut frameworks: Vec<FrameworkView>) -> Self {
        let text = query.get("q");
        frameworks.retain(|framework| {
            let id = framework.id.to_string();
            let mut within = vec![id.as_str(), &framework.info.name];
            within.extend(framework.info.roles.iter().map(String::as_str));
            text.is_empty() || found(text, &within)
        });
        frameworks.sort_by_key(|framework| std::cmp::Reverse((framework.used.cpus, framework.id)));
        let pager = Pager::new("/frameworks", query, frameworks.len(), "framework");
        let range = Pager::range(query, frameworks.len());
        let frameworks: Vec<FrameworkView> = frameworks.drain(range).collect();
        let rows = frameworks.iter().map(row).collect();
        Self { query: text.to_owned(), rows, pager, is_filtered: !query.is_empty(), frameworks }
    }
}

fn row(framework: &FrameworkView) -> FrameworkRow {
    FrameworkRow {
        id: framework.id.to_string(),
        name: printable(&framework.info.name),
        roles: printable(&framework.info.roles.join(", ")),
        state: state(framework),
        cpu: framework.used.cpus.as_cores().to_string(),
        mem: framework.used.mem.to_string(),
        offered: framework.offered.cpus.as_cores().to_string(),
        tasks: framework.tasks.to_string(),
    }
}

impl View for FrameworksPage {
    fn title(&self) -> String {
        "Frameworks".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Frameworks)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let frameworks: Vec<FrameworkRecord> = self.frameworks.iter().map(Into::into).collect();
        json!({ "frameworks": frameworks, "shown": self.pager.text, "next": self.pager.behind })
    }
}

/// One framework.
#[derive(Template)]
#[template(path = "framework.html")]
pub struct FrameworkPage {
    id: String,
    name: String,
    state: Badge,
    facts: Vec<(&'static str, String)>,
    /// For each of its roles, who waits, and what is in its way.
    whys: Vec<(String, Vec<String>, bool)>,
    tasks: Vec<TaskRow>,
    framework: FrameworkView,
    why: Vec<Why>,
    views: Vec<TaskView>,
}

impl FrameworkPage {
    /// A framework, why it waits in its roles, and some of its tasks.
    pub fn new(framework: FrameworkView, why: Vec<Why>, views: Vec<TaskView>) -> Self {
        let facts = vec![
            ("Roles", printable(&framework.info.roles.join(", "))),
            ("Holds", printable(&framework.used.to_string())),
            ("Is offered", printable(&framework.offered.to_string())),
            ("Tasks", counted(framework.tasks as u64, "task")),
            ("May be away for", why::span(framework.info.failover_timeout)),
        ];
        let told = |why: &Why| {
            let lines = why::reasons(why).iter().map(|line| printable(line)).collect();
            (printable(&why::headline(why)), lines, why.waits_for.is_some())
        };
        Self {
            id: framework.id.to_string(),
            name: printable(&framework.info.name),
            state: state(&framework),
            facts,
            whys: why.iter().map(told).collect(),
            tasks: views.iter().map(TaskRow::new).collect(),
            framework,
            why,
            views,
        }
    }
}

impl View for FrameworkPage {
    fn title(&self) -> String {
        format!("{} · {}", self.id, self.name)
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Frameworks)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let tasks: Vec<TaskRecord> = self.views.iter().map(Into::into).collect();
        let why: Vec<WhyRecord> = self.why.iter().map(Into::into).collect();
        json!({ "framework": FrameworkRecord::from(&self.framework), "why": why, "tasks": tasks })
    }
}
