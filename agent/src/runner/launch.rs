//! The last steps of a task before it is an executor's: its inputs are laid out, and it is told where it runs.

use haggle_core::{Reason, TaskId, TaskSpec};
use haggle_executor::Launch;
use haggle_executor::inputs::LaidOut;
use haggle_executor::process::TASK_VARIABLE;

use super::{Began, Runner, Runs, Waiting};
use crate::folders::NoFolders;

impl<E: Runs> Runner<E> {
    /// Inputs are laid out as far as that goes.
    pub(crate) fn laid_out(&mut self, task: TaskId, outcome: Result<LaidOut, NoFolders>) -> Began {
        let mut began = Began::default();
        began.work.extend(self.layouts.done(task));
        let waits = self.waiting(task).is_some_and(|waiting| waiting.lays_out);
        match outcome {
            // It was stopped meanwhile.
            _ if !waits => self.folders.remove(task),
            Ok(laid_out) => self.launch(task, laid_out, &mut began),
            Err(NoFolders { reason, message }) => self.give_up(task, reason, &message, &mut began),
        }
        began
    }

    pub(super) fn launch_if_ready(&mut self, task: TaskId, began: &mut Began) {
        let Some(waiting) = self.tasks.get_mut(&task).and_then(|running| running.waiting.as_mut()) else { return };
        if waiting.missing > 0 || waiting.compiled.is_none() {
            return;
        }
        if waiting.spec.inputs.is_empty() {
            return self.launch(task, LaidOut::default(), began);
        }
        if self.layouts.is_under_way(task) {
            let why = "the inputs of an earlier task of its id are still being laid out: task ids are used once";
            return self.give_up(task, Reason::TaskInvalid, why, began);
        }
        waiting.lays_out = true;
        let layout = self.folders.layout(&waiting.spec, |content| self.artifacts.path(content));
        began.work.extend(self.layouts.add(task, layout));
    }

    /// Everything is there.
    fn launch(&mut self, task: TaskId, laid_out: LaidOut, began: &mut Began) {
        let waiting = self.tasks.get_mut(&task).and_then(|running| running.waiting.take());
        let Some(Waiting { spec, meter, compiled: Some(module), .. }) = waiting else { return };
        let granted = self.folders.granted(&spec).and_then(|granted| {
            let volumes = self.volumes.granted(&spec)?;
            Ok((laid_out.folders.into_iter().chain(granted).collect(), volumes, laid_out.copies))
        });
        match granted {
            Ok((folders, volumes, copies)) => {
                let env = told(&spec, &self.agent_name);
                if let Some(traces) = &mut self.traces {
                    traces.launched(task);
                }
                let launch = Launch { module, meter, folders, volumes, copies, env, spec };
                let Some(batch) = self.batches.get(&task) else { return self.executor.launch(launch) };
                for (at, count) in batch.rest() {
                    let (launch, index) = (launch.clone(), batch.index.clone());
                    self.executor.enqueue(batch.allocation, launch, index, at, count);
                }
            }
            Err(NoFolders { reason, message }) => self.give_up(task, reason, &message, began),
        }
    }
}

/// What a task is told of where it runs, unless it wants to be told nothing.
fn told(spec: &TaskSpec, agent_name: &str) -> Vec<(String, String)> {
    if spec.grants.anonymous {
        return Vec::new();
    }
    vec![(TASK_VARIABLE.to_owned(), spec.id.to_string()), ("HAGGLE_AGENT".to_owned(), agent_name.to_owned())]
}
