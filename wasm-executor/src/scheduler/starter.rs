//! The first step of a task that comes while nothing else does, on the thread that it came by: so nobody is woken for it, and most of
//! those that are over in a moment never see another thread.
//!
//! Such a thread has other things to do, and must not be held up. What it runs is counted in fuel, and gives way after
//! [`FUEL_STEP`](crate::run::FUEL_STEP) or a call of the host; and it can touch no file and no network, which might not answer.

use std::fmt;
use std::sync::Arc;

use haggle_core::{Bytes, TaskSpec};
use tokio::runtime::Handle;

use super::Scheduler;
use super::worker::Worker;
use crate::event::{Launch, Meter};

/// What wasmtime does in one go, between the parts of a component, takes a millisecond for each MiB of memory: no more than other
/// first steps may take.
const MEM_MAX: Bytes = Bytes::from_mib(64);

/// Launches tasks for one thread, which has other things to do, and may begin them there. It does not keep the executor running.
pub struct Starter {
    scheduler: Arc<Scheduler>,
    worker: Worker,
    number: usize,
    timers: Handle,
}

impl Starter {
    pub(crate) fn new(scheduler: &Arc<Scheduler>, timers: Handle) -> Self {
        // Near none of the workers' instances, but those of the first are there in any case.
        let number = scheduler.workers;
        Self { scheduler: Arc::clone(scheduler), worker: Worker::new(scheduler, number, true), number, timers }
    }

    /// As [`Executor::launch`](crate::Executor::launch), but begins the task on this thread if every worker is idle and it can be
    /// stopped within a moment. The listener may be called before this returns.
    pub fn launch(&self, launch: Launch) {
        if !is_harmless(&launch) {
            return self.scheduler.launch(launch);
        }
        if let Some((turn, cell)) = self.scheduler.arrive_and_take_turn(launch, self.number) {
            let _timers = self.timers.enter();
            self.worker.serve_once(turn, &cell);
        }
    }
}

/// Whether nothing that it does can take longer than what it computes.
fn is_harmless(launch: &Launch) -> bool {
    let Launch { spec, meter, folders, volumes, copies, .. } = launch;
    let TaskSpec { resources, grants, .. } = &**spec;
    let has_files = !(folders.is_empty() && volumes.is_empty() && copies.is_none() && resources.disk.is_zero());
    *meter == Meter::Fuel && resources.mem <= MEM_MAX && !has_files && !grants.reach_out()
}

impl fmt::Debug for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starter").finish_non_exhaustive()
    }
}
