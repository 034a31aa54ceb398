//! What is known of the cluster: what it was asked for, and what it has told since.

use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

use haggle_core::cluster::{AgentView, Announcement, FrameworkView, TaskView};
use haggle_core::{TaskId, TaskState, TaskStatus};
use haggle_sdk::{MasterInfo, RoleInfo, WatchEvent, Why};

use crate::commands::watch::sentence;

/// Tasks that are kept; of more than that nobody finds one by looking.
pub(super) const TASKS_MAX: usize = 100_000;

/// Things that happened, and are shown.
const LATEST: usize = 200;

/// Everything that was asked for. `None`: it was not yet.
#[derive(Default)]
pub(super) struct Data {
    pub(super) url: String,
    pub(super) master: Option<MasterInfo>,
    pub(super) agents: Option<Vec<AgentView>>,
    pub(super) roles: Option<Vec<RoleInfo>>,
    pub(super) frameworks: Option<Vec<FrameworkView>>,
    pub(super) tasks: Option<Vec<TaskView>>,
    /// Where the tasks are in that list.
    places: HashMap<TaskId, usize>,
    /// Tasks that are not in the list, for there are too many.
    pub(super) left_out: usize,
    /// The one that is looked at, and why it waits if it does.
    pub(super) task: Option<Looked>,
    pub(super) since: Counts,
    /// The newest first.
    pub(super) latest: VecDeque<(SystemTime, String)>,
    pub(super) link: Link,
}

/// A task that is looked at.
pub(super) struct Looked {
    pub(super) id: TaskId,
    /// `None`: the master does not know it.
    pub(super) view: Option<TaskView>,
    pub(super) why: Option<Why>,
}

/// What tasks did since this is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) started: u64,
    pub(super) finished: u64,
    pub(super) killed: u64,
    pub(super) failed: u64,
}

/// Whether what happens is heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    #[default]
    Coming,
    Up,
    /// And why.
    Down(String),
}

/// An answer.
pub(super) enum Fetched {
    Master(MasterInfo),
    Agents(Vec<AgentView>),
    Roles(Vec<RoleInfo>),
    Frameworks(Vec<FrameworkView>),
    Tasks(Vec<TaskView>),
    Task(Box<Looked>),
}

impl Data {
    /// Of a master at this URL, that was not asked yet.
    pub(super) fn of(url: String) -> Self {
        Self { url, ..Self::default() }
    }

    /// Takes an answer in.
    pub(super) fn take(&mut self, fetched: Fetched) {
        match fetched {
            Fetched::Master(master) => self.master = Some(master),
            Fetched::Agents(agents) => self.agents = Some(agents),
            Fetched::Roles(roles) => self.roles = Some(roles),
            Fetched::Frameworks(frameworks) => self.frameworks = Some(frameworks),
            Fetched::Tasks(tasks) => self.take_tasks(tasks),
            Fetched::Task(looked) => self.task = Some(*looked),
        }
    }

    fn take_tasks(&mut self, tasks: Vec<TaskView>) {
        let mut all: Vec<TaskView> = Vec::new();
        self.places.clear();
        self.left_out = 0;
        for task in tasks {
            // One that ended while the list was read comes twice, the second time with its end.
            if let Some(&place) = self.places.get(&task.id) {
                all[place] = task;
            } else if all.len() < TASKS_MAX {
                self.places.insert(task.id, all.len());
                all.push(task);
            } else {
                self.left_out += 1;
            }
        }
        self.tasks = Some(all);
    }

    /// Takes in what happened.
    pub(super) fn hear(&mut self, event: &WatchEvent) {
        if let Announcement::Task(status) = &event.what {
            self.hear_of_task(status);
        }
        self.latest.push_front((event.at, sentence(&event.what)));
        self.latest.truncate(LATEST);
    }

    fn hear_of_task(&mut self, status: &TaskStatus) {
        match status.state {
            TaskState::Running => self.since.started += 1,
            TaskState::Finished => self.since.finished += 1,
            TaskState::Killed => self.since.killed += 1,
            state if state.is_terminal() => self.since.failed += 1,
            _ => {}
        }
        let listed = self.places.get(&status.task).and_then(|&place| self.tasks.as_mut()?.get_mut(place));
        let looked = self.task.as_mut().and_then(|looked| looked.view.as_mut()).filter(|view| view.id == status.task);
        for view in listed.into_iter().chain(looked) {
            view.status = status.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::top::fixture;

    fn task(number: u64, state: TaskState) -> TaskView {
        fixture::task(1, number, "t", state)
    }

    fn happened(number: u64, state: TaskState) -> WatchEvent {
        WatchEvent { at: SystemTime::UNIX_EPOCH, what: Announcement::Task(task(number, state).status) }
    }

    fn state_of(data: &Data, number: u64) -> Option<TaskState> {
        data.tasks.as_ref()?.iter().find(|task| task.id.number == number).map(|task| task.status.state)
    }

    #[test]
    fn a_task_that_is_listed_is_as_it_was_told_last() {
        let mut data = Data::of(String::new());
        data.take(Fetched::Tasks(vec![task(1, TaskState::Running), task(2, TaskState::Running)]));

        data.hear(&happened(2, TaskState::Failed));
        data.hear(&happened(3, TaskState::Running));

        assert_eq!(state_of(&data, 1), Some(TaskState::Running));
        assert_eq!(state_of(&data, 2), Some(TaskState::Failed));
        assert_eq!(state_of(&data, 3), None, "its name and role are still to be asked for");
        assert_eq!(data.since, Counts { started: 1, failed: 1, ..Counts::default() });
    }

    #[test]
    fn a_task_that_comes_twice_in_a_list_counts_as_it_comes_last() {
        let mut data = Data::of(String::new());

        data.take(Fetched::Tasks(vec![task(1, TaskState::Running), task(1, TaskState::Finished)]));

        assert_eq!(data.tasks.as_ref().map(Vec::len), Some(1));
        assert_eq!(state_of(&data, 1), Some(TaskState::Finished));
    }

    #[test]
    fn nothing_grows_without_a_bound() {
        let mut data = Data::of(String::new());
        let most = TASKS_MAX as u64 + 7;

        data.take(Fetched::Tasks((0..most).map(|number| task(number, TaskState::Running)).collect()));
        for number in 0..1000 {
            data.hear(&happened(number, TaskState::Finished));
        }

        assert_eq!((data.tasks.as_ref().map(Vec::len), data.left_out), (Some(TASKS_MAX), 7));
        assert_eq!(data.latest.len(), LATEST);
        assert!(
            data.latest[0].1.starts_with("task-1.999 ")
                && data.latest[0].0 < SystemTime::now() - Duration::from_secs(1)
        );
    }
}
