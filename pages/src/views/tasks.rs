//! Tasks: those that run and those that ended last, by state, role, framework, agent, reason and text.

use askama::Template;
use haggle_core::cluster::{TaskGlance, TaskView};
use haggle_core::{AgentId, FrameworkId, Reason};
use serde_json::{Value, json};

use super::View;
use crate::layout::Section;
use crate::link::Query;
use crate::parts::{Badge, Choice, Pager, Word, count, took};
use crate::record::{TaskRecord, kind};
use crate::text::printable;

/// A task in a list.
pub(super) struct TaskRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) state: Badge,
    pub(super) role: String,
    pub(super) role_url: String,
    pub(super) framework: String,
    pub(super) agent: String,
    pub(super) resources: String,
    pub(super) ran: String,
    pub(super) note: String,
}

impl TaskRow {
    pub(super) fn new(task: &TaskView) -> Self {
        let status = &task.status;
        let note = match (status.reason, status.exit_code) {
            (Some(Reason::Exit), Some(code)) => format!("EXIT {code}"),
            (Some(reason), _) => reason.to_string(),
            (None, _) => String::new(),
        };
        Self {
            id: task.id.to_string(),
            name: printable(&task.name),
            kind: kind(task),
            state: Badge::of_task(status.state, status.reason),
            role: printable(&task.role),
            role_url: role_url(&task.role),
            framework: task.id.framework.to_string(),
            agent: task.agent.to_string(),
            resources: format!("{} cpu, {}", task.resources.cpus.as_cores(), task.resources.mem),
            ran: status.usage.map(|usage| took(usage.wall)).unwrap_or_default(),
            note,
        }
    }
}

/// The tasks of a role.
pub(super) fn role_url(role: &str) -> String {
    Query::default().with("role", role).on("/tasks")
}

/// What an address selects of all tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    word: Option<Word>,
    role: String,
    framework: Option<FrameworkId>,
    agent: Option<AgentId>,
    reason: Option<Reason>,
    text: String,
    /// What cannot be read selects nothing.
    is_void: bool,
}

impl TaskFilter {
    /// Reads it.
    pub fn new(query: &Query) -> Self {
        let mut is_void = false;
        let mut read = |is_some: bool, name: &str| is_void |= !is_some && !query.get(name).is_empty();
        let word = Word::ALL.into_iter().find(|word| word.name() == query.get("state"));
        read(word.is_some(), "state");
        let framework = query.get("framework").parse().ok();
        read(framework.is_some(), "framework");
        let agent = query.get("agent").parse().ok();
        read(agent.is_some(), "agent");
        let reason = Reason::ALL.iter().copied().find(|reason| reason.name().eq_ignore_ascii_case(query.get("reason")));
        read(reason.is_some(), "reason");
        let text = query.get("q").to_lowercase();
        Self { word, role: query.get("role").to_owned(), framework, agent, reason, text, is_void }
    }

    /// Whether it selects this one. A role is meant with those below it.
    pub fn wants(&self, task: &TaskGlance<'_>) -> bool {
        let of_role = || match task.role.strip_prefix(&*self.role) {
            Some(rest) => self.role.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        let says = || {
            self.text.is_empty()
                || task.name.to_lowercase().contains(&self.text)
                || task.role.to_lowercase().contains(&self.text)
                || task.id.to_string().contains(&self.text)
        };
        !self.is_void
            && self.word.is_none_or(|word| word == Word::of(task.state))
            && self.framework.is_none_or(|framework| framework == task.id.framework)
            && self.agent.is_none_or(|agent| task.agent == Some(agent))
            && self.reason.is_none_or(|reason| task.reason == Some(reason))
            && of_role()
            && says()
    }
}

/// All that somebody sees and the address selects.
#[derive(Template)]
#[template(path = "tasks.html")]
pub struct TasksPage {
    query: String,
    hidden: Vec<(&'static str, String)>,
    choices: Vec<Choice>,
    narrowed: Vec<Choice>,
    rows: Vec<TaskRow>,
    pager: Pager,
    is_filtered: bool,
    /// Of how many.
    known: String,
    master: String,
    tasks: Vec<TaskView>,
}

impl TasksPage {
    /// The tasks of one page, of `wanted` that are selected of `known`.
    pub fn new(query: &Query, tasks: Vec<TaskView>, (wanted, known): (usize, usize), master: String) -> Self {
        let state = query.get("state");
        let choice = |label: &str, value: &str, class| Choice {
            label: label.to_owned(),
            url: query.with("state", value).on("/tasks"),
            is_chosen: state == value,
            class,
        };
        let words = Word::ALL.map(|word| choice(word.name(), word.name(), word.name()));
        let narrowing = ["role", "framework", "agent", "reason"];
        let narrowed = narrowing.into_iter().filter(|name| !query.get(name).is_empty()).map(|name| Choice {
            label: format!("{name}: {}", printable(query.get(name))),
            url: query.with(name, "").on("/tasks"),
            is_chosen: true,
            class: "",
        });
        let kept = ["state", "role", "framework", "agent", "reason"];
        let hidden = kept.into_iter().filter(|name| !query.get(name).is_empty());
        Self {
            query: query.get("q").to_owned(),
            hidden: hidden.map(|name| (name, query.get(name).to_owned())).collect(),
            choices: [choice("all", "", "")].into_iter().chain(words).collect(),
            narrowed: narrowed.collect(),
            rows: tasks.iter().map(TaskRow::new).collect(),
            pager: Pager::new("/tasks", query, wanted, "task"),
            is_filtered: !query.with("page", "").is_empty(),
            known: count(known as u64),
            master,
            tasks,
        }
    }
}

impl View for TasksPage {
    fn title(&self) -> String {
        "Tasks".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Tasks)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let tasks: Vec<TaskRecord> = self.tasks.iter().map(Into::into).collect();
        json!({ "tasks": tasks, "shown": self.pager.text, "next": self.pager.behind })
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{TaskId, TaskState};

    use super::*;

    fn glance(state: TaskState) -> TaskGlance<'static> {
        TaskGlance {
            id: TaskId { framework: FrameworkId(3), number: 7 },
            name: "Primes",
            role: "eng/batch",
            agent: Some(AgentId(1)),
            state,
            reason: (state == TaskState::Failed).then_some(Reason::MemoryLimit),
            group: None,
            is_archived: false,
        }
    }

    fn wants(query: &str, state: TaskState) -> bool {
        TaskFilter::new(&Query::parse(query)).wants(&glance(state))
    }

    #[test]
    fn an_address_selects_by_everything_that_it_names() {
        for query in [
            "",
            "state=running",
            "role=eng",
            "role=eng/batch",
            "framework=framework-3",
            "agent=agent-1",
            "q=prim",
            "q=task-3.7",
        ] {
            assert!(wants(query, TaskState::Running), "{query}");
        }
        for query in [
            "state=failed",
            "role=en",
            "role=eng/batch/x",
            "framework=framework-4",
            "agent=agent-2",
            "q=seconds",
            "reason=EXIT",
        ] {
            assert!(!wants(query, TaskState::Running), "{query}");
        }
        assert!(wants("state=failed&reason=memory_limit", TaskState::Failed));
    }

    #[test]
    fn what_cannot_be_read_selects_nothing_rather_than_all() {
        for query in ["state=x", "framework=3", "agent=<script>", "reason=NONE"] {
            assert!(!wants(query, TaskState::Running), "{query}");
        }
    }
}
