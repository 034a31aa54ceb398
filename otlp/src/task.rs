//! The span that a task is, and what is said of its end: the same wherever it is recorded.

use haggle_core::{Ending, Reason, TaskId, TaskState, TaskTrace, Usage};

use crate::span::{Kind, Span};

impl Span {
    /// All of a task, from when it was asked for.
    pub fn of_task(trace: &TaskTrace, id: TaskId, name: &str, end_ns: u64) -> Self {
        let span = Self {
            context: trace.context,
            parent: trace.parent,
            name: "task",
            kind: Kind::Server,
            start_ns: trace.began_ns,
            end_ns,
            attributes: Vec::new(),
            error: None,
        };
        span.with("haggle.task.id", id.to_string()).with("haggle.task.name", name)
    }

    /// With how it ended. It failed, unless the task came to a good end, or to the one that somebody asked for.
    #[must_use]
    pub fn ended(self, state: TaskState, reason: Option<Reason>, message: &str, exit_code: Option<i32>) -> Self {
        let is_wanted = state == TaskState::Finished || reason == Some(Reason::KillRequested);
        let why = reason.map_or(state.name(), Reason::name);
        let error = if message.is_empty() { why.to_owned() } else { format!("{why}: {message}") };
        let span = self.with("haggle.task.state", state.name());
        let span = reason.into_iter().fold(span, |span, reason| span.with("haggle.task.reason", reason.name()));
        let span = exit_code.into_iter().fold(span, |span, code| span.with("haggle.task.exit_code", code));
        span.failed((!is_wanted).then_some(error))
    }

    /// The same, of an end that its agent saw.
    #[must_use]
    pub fn came_to(self, ending: &Ending) -> Self {
        self.ended(ending.state, ending.reason, &ending.message, ending.exit_code).used(&ending.usage)
    }

    /// With what it used.
    #[must_use]
    pub fn used(self, usage: &Usage) -> Self {
        self.with("haggle.usage.cpu_seconds", usage.cpu)
            .with("haggle.usage.wall_seconds", usage.wall)
            .with("haggle.usage.fuel", usage.fuel.get())
            .with("haggle.usage.peak_memory_bytes", usage.peak_mem.get())
            .with("haggle.usage.output_bytes", usage.output.get())
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{ClusterId, FrameworkId};

    use super::*;

    fn span() -> Span {
        let task = TaskId { framework: FrameworkId(1), number: 2 };
        Span::of_task(&TaskTrace::begin(ClusterId(3), task, None, |_| true, 5), task, "count", 9)
    }

    #[test]
    fn a_task_is_a_trace_of_its_own_without_a_caller() {
        assert_eq!((span().parent, span().start_ns, span().end_ns), (None, 5, 9));
        assert!(span().attributes.contains(&("haggle.task.id", "task-1.2".into())));
    }

    #[test]
    fn a_bad_end_is_an_error_with_its_reason_and_a_wanted_one_is_none() {
        let error = |state, reason| span().ended(state, reason, "so it was", None).error;

        assert_eq!(error(TaskState::Finished, None), None);
        assert_eq!(error(TaskState::Killed, Some(Reason::KillRequested)), None);
        assert_eq!(error(TaskState::Gone, Some(Reason::Preempted)).as_deref(), Some("PREEMPTED: so it was"));
        assert_eq!(error(TaskState::Lost, None).as_deref(), Some("LOST: so it was"));
    }
}
