//! What is shown: pages on top of each other, each with its filter, its order and its place.

use haggle_core::{AgentId, FrameworkId, TaskId};
use haggle_sdk::OutputStream;

use super::data::Data;
use super::lists::{Key, Row, arranged};
use super::log::Log;
use super::pace::Feed;

/// Everything that a frame is drawn from.
pub(super) struct State {
    pub(super) data: Data,
    /// The last is shown. Never empty.
    views: Vec<View>,
    pub(super) input: Input,
    /// What the last word or key came to.
    pub(super) notice: Option<Notice>,
    /// What the task that is looked at writes.
    pub(super) log: Log,
    /// Whether tasks that have ended are listed as well.
    pub(super) all_tasks: bool,
    /// Rows of the terminal.
    pub(super) height: u16,
}

/// A page, and where one is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) page: Page,
    pub(super) filter: String,
    pub(super) sort: Sort,
    /// What is chosen, and where that was: it may be gone.
    pub(super) chosen: Option<Key>,
    pub(super) place: usize,
    /// Lines of a log that are below what is shown.
    pub(super) below: usize,
}

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Cluster,
    Agents,
    Roles,
    /// Of a role and those below it, or all.
    Frameworks(Option<String>),
    Tasks(Whose),
    Task(TaskId),
    Help,
}

/// Which tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Everybody,
    Agent(AgentId),
    Framework(FrameworkId),
}

/// By which column, and in which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) descending: bool,
}

/// What keys mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Keys,
    /// Behind a `:`.
    Command(String),
    /// Behind a `/`; and what the filter was before.
    Filter(String),
    /// Whether to end this task.
    Kill(TaskId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Done(String),
    Wrong(String),
}

/// What the cluster is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) feeds: Vec<Feed>,
    pub(super) all_tasks: bool,
    pub(super) task: Option<(TaskId, OutputStream)>,
}

impl View {
    pub(super) fn of(page: Page) -> Self {
        Self { page, filter: String::new(), sort: Sort::default(), chosen: None, place: 0, below: 0 }
    }
}

impl State {
    /// The first page of a terminal of so many rows.
    pub(super) fn new(data: Data, height: u16) -> Self {
        Self {
            data,
            views: vec![View::of(Page::Cluster)],
            input: Input::Keys,
            notice: None,
            log: Log::new(OutputStream::Stdout),
            all_tasks: false,
            height,
        }
    }

    pub(super) fn view(&self) -> &View {
        self.views.last().expect("there is always one")
    }

    pub(super) fn view_mut(&mut self) -> &mut View {
        self.views.last_mut().expect("there is always one")
    }

    /// Puts a page on top.
    pub(super) fn open(&mut self, page: Page) {
        /// One comes back from a few.
        const DEEPEST: usize = 16;
        if let Page::Task(id) = page {
            self.log = Log::new(OutputStream::Stdout);
            self.data.task.take_if(|looked| looked.id != id);
        }
        if self.views.len() == DEEPEST {
            self.views.remove(0);
        }
        self.views.push(View::of(page));
    }

    /// Shows a page, with none below it.
    pub(super) fn go_to(&mut self, page: Page) {
        if self.view().page != page {
            self.views.clear();
            self.open(page);
        }
    }

    /// Takes the uppermost page away; `false` when it is the only one.
    pub(super) fn back(&mut self) -> bool {
        let is_back = self.views.len() > 1;
        if is_back {
            self.views.pop();
        }
        is_back
    }

    /// Which of the feeds the page shows.
    pub(super) fn wants(&self) -> Wants {
        // Below a help, the page goes on.
        let page = self.views.iter().rev().map(|view| &view.page).find(|page| **page != Page::Help);
        let feeds: &[Feed] = match page {
            Some(Page::Cluster) | None => &[Feed::Agents, Feed::Roles, Feed::Frameworks, Feed::Master],
            Some(Page::Agents) => &[Feed::Agents, Feed::Master],
            Some(Page::Roles) => &[Feed::Roles, Feed::Master],
            Some(Page::Frameworks(_)) => &[Feed::Frameworks, Feed::Master],
            Some(Page::Tasks(_)) => &[Feed::Tasks, Feed::Master],
            Some(Page::Task(_)) => &[Feed::Task, Feed::Master],
            Some(Page::Help) => &[],
        };
        let task = match page {
            Some(Page::Task(id)) => Some((*id, self.log.stream)),
            _ => None,
        };
        Wants { feeds: feeds.to_vec(), all_tasks: self.all_tasks, task }
    }

    /// What the rows of the page stand for, in their order; none on a page without rows.
    pub(super) fn keys(&self) -> Vec<Key> {
        match &self.view().page {
            Page::Agents => self.keys_of(self.data.agents.iter().flatten()),
            Page::Roles => self.keys_of(self.data.roles.iter().flatten()),
            Page::Frameworks(role) => self.keys_of(self.frameworks(role.as_deref())),
            Page::Tasks(whose) => self.keys_of(self.tasks(whose)),
            Page::Cluster | Page::Task(_) | Page::Help => Vec::new(),
        }
    }

    fn keys_of<'a, R: Row + 'a>(&self, rows: impl Iterator<Item = &'a R>) -> Vec<Key> {
        let view = self.view();
        arranged(rows, &view.filter, view.sort).into_iter().map(Row::key).collect()
    }

    /// The frameworks of a role and of those below it, or all.
    pub(super) fn frameworks<'a>(
        &'a self,
        role: Option<&'a str>,
    ) -> impl Iterator<Item = &'a haggle_core::cluster::FrameworkView> {
        let is_in = move |of: &str| match role {
            Some(role) => of.strip_prefix(role).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            None => true,
        };
        self.data.frameworks.iter().flatten().filter(move |framework| framework.info.roles.iter().any(|of| is_in(of)))
    }

    /// Some or all tasks.
    pub(super) fn tasks<'a>(&'a self, whose: &'a Whose) -> impl Iterator<Item = &'a haggle_core::cluster::TaskView> {
        self.data.tasks.iter().flatten().filter(move |task| match whose {
            Whose::Everybody => true,
            Whose::Agent(agent) => task.agent == *agent,
            Whose::Framework(framework) => task.id.framework == *framework,
        })
    }

    /// Which row is chosen of so many: the one that was, or who has its place by now.
    pub(super) fn chosen(&self, keys: &[Key]) -> Option<usize> {
        let view = self.view();
        let there = keys.iter().position(|key| Some(key) == view.chosen.as_ref());
        there.or_else(|| keys.len().checked_sub(1).map(|last| view.place.min(last)))
    }
}
