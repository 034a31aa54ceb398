//! One task from its launch to its outcome: module, grants, instance, call.

use std::sync::Arc;

use haggle_core::{Fuel, TaskSpec, VolumeId};
use wasmtime::{AsContext, InstancePre, ModuleExport, Store};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::engine::Pool;
use crate::event::{Launch, Meter};
use crate::grants::{Grants, grant};
use crate::instances::Instances;
use crate::memory::{Limiter, Memory};
use crate::meters::Meters;
use crate::module::{Compiled, ModuleError};
use crate::outcome::{Outcome, Refused, SetupError};
use crate::site::Site;
use crate::wasi::{Disk, Net, Output, Preview1, Preview1State, Preview2, Preview2State};

/// Fuel after which guests come back to their worker, which lets them go on until their slice is over: 30 to 100 µs of
/// most code. Coming back costs 0.4 µs: 3 % of most code at half as much, and nothing to be seen at five times as much;
/// but then a guest whose every load misses all caches keeps its worker for 50 ms.
pub(crate) const FUEL_STEP: u64 = 200_000;

/// The same of a guest that throws exceptions: the host looks through each frame that is left by one, and that takes longer than
/// what was paid when the frame was entered.
const FUEL_STEP_THROWING: u64 = FUEL_STEP / 4;

/// The same in epochs; the slice is over then.
pub(crate) const EPOCHS_STEP: u64 = 1;

/// What a guest held and nobody needs any more. Dropping it releases all that; from then on its meters hold what it
/// used.
pub(crate) type Remains = Box<dyn Send>;

/// Runs a task to its end, in a pool with room for it. `started` is called once its module is ready and the guest is
/// about to begin.
///
/// Dropping the future ends the task on the spot, and releases what it held.
pub(crate) async fn run(
    site: &Site,
    launch: &Launch,
    pool: Pool,
    output: &Arc<Output>,
    meters: &Arc<Meters>,
    started: impl FnOnce(),
) -> (Outcome, Remains) {
    let failed = |outcome| (outcome, Box::new(()) as Remains);
    if launch.meter == Meter::Epochs && launch.spec.limits.fuel.is_some() {
        return failed(Outcome::of_setup(&SetupError::Unmetered));
    }
    let compiled = match site.modules.get(launch.spec.module, pool, &launch.module).await {
        Ok(compiled) => compiled,
        Err(error) => return failed(Outcome::of_module(&error)),
    };
    if !site.allow_network && launch.spec.grants.reach_out() {
        return failed(Outcome::of_setup(&no_network(&launch.spec.grants)));
    }
    started();
    // What is only needed for a while is kept apart: each suspended task holds the largest of the rest.
    let grants = match Box::pin(grant(launch, site, output, meters)).await {
        Ok(grants) => grants,
        Err(error) => return failed(Outcome::of_setup(&error)),
    };
    let memory = output.memory();
    let instances = compiled.instances();
    let held = held(launch).saturating_add(instances.bytes.saturating_sub(INSTANCES_FREE));
    if let Err(denied) = memory.hold(held) {
        return (Outcome::memory(denied), Box::new(grants.scratch));
    }
    let limiter = Limiter::new(Arc::clone(memory), instances.throws);
    let Grants { mut builder, disk, volumes, files, writable, scratch } = grants;
    match &*compiled {
        Compiled::Core { pre, start, .. } => {
            let wasi = Preview1::new(builder, writable, files, Arc::clone(memory));
            let store = Preview1State { wasi, limiter }.store(pre.module().engine());
            let mut guest = Metered::new(store, launch, meters, instances);
            let result = call_core(&mut guest, pre, *start).await;
            let refused = refused(memory, disk.as_deref(), &volumes);
            (conclude(&result, &refused, launch.spec.limits.fuel), Box::new((guest, scratch)))
        }
        Compiled::Component { pre, .. } => {
            let net = Net::new(&launch.spec.grants, meters, memory, &files, &mut builder);
            let wasi = Preview2::new(builder, writable, files);
            let store = Preview2State { wasi, net, limiter }.store(pre.engine());
            let mut guest = Metered::new(store, launch, meters, instances);
            let result = Box::pin(call_component(&mut guest, pre)).await;
            let refused = refused(memory, disk.as_deref(), &volumes);
            (conclude(&result, &refused, launch.spec.limits.fuel), Box::new((guest, scratch)))
        }
    }
}

fn no_network(grants: &haggle_core::Grants) -> SetupError {
    let net = grants.net.iter().map(ToString::to_string);
    let http = grants.http.iter().map(ToString::to_string);
    SetupError::NoNetwork { host: net.chain(http).next().unwrap_or_default() }
}

/// Bytes of arguments and environment that every task has for nothing, so that a memory which is as large as a
/// quota fits it.
const TEXT_FREE: u64 = 4096;
/// What each of them costs the host beside its bytes.
const TEXT_ENTRY: u64 = 32;

/// Bytes of its instances that every task has for nothing, for the same reason. A program in Rust with its standard
/// library takes less.
const INSTANCES_FREE: u64 = 16 << 10;

/// What the host holds for the guest from the start, beside its instances.
fn held(launch: &Launch) -> u64 {
    let TaskSpec { args, env, stdin, .. } = &*launch.spec;
    let args = args.iter().map(|arg| arg.len() as u64 + TEXT_ENTRY);
    let env = env.iter().chain(&launch.env).map(|(name, value)| (name.len() + value.len()) as u64 + 2 * TEXT_ENTRY);
    let text: u64 = args.chain(env).sum();
    stdin.len() as u64 + text.saturating_sub(TEXT_FREE)
}

async fn call_core(
    guest: &mut Metered<Preview1State>,
    pre: &InstancePre<Preview1State>,
    start: ModuleExport,
) -> wasmtime::Result<i32> {
    let instance = pre.instantiate_async(&mut guest.store).await?;
    guest.begin();
    let store = &mut guest.store;
    let start = instance.get_module_export(&mut *store, &start).and_then(wasmtime::Extern::into_func);
    let start = start.ok_or_else(|| wasmtime::Error::msg(ModuleError::NoStart.to_string()))?;
    start.typed::<(), ()>(store.as_context())?.call_async(&mut *store, ()).await?;
    Ok(0)
}

async fn call_component(guest: &mut Metered<Preview2State>, pre: &CommandPre<Preview2State>) -> wasmtime::Result<i32> {
    let command = pre.instantiate_async(&mut guest.store).await?;
    guest.begin();
    let result = command.wasi_cli_run().call_run(&mut guest.store).await?;
    Ok(i32::from(result.is_err()))
}

fn refused(memory: &Memory, disk: Option<&Disk>, volumes: &[(VolumeId, Arc<Disk>)]) -> Refused {
    let volume = volumes.iter().find_map(|(id, disk)| Some((*id, disk.refused()?)));
    Refused { memory: memory.denied(), disk: disk.and_then(Disk::refused), volume }
}

fn conclude(result: &wasmtime::Result<i32>, refused: &Refused, fuel: Option<Fuel>) -> Outcome {
    match result {
        Ok(code) => Outcome::exited(*code, refused),
        Err(error) => Outcome::of_error(error, refused, fuel),
    }
}

/// A store that gives its worker back after every slice, and says how much fuel was burnt, however it ends.
///
/// Fuel is the guest's from when its first function runs. To lay out its memories costs as much as they hold on systems
/// that cannot map them, and nothing on others; it is the same number on all of them because it is not counted. Where functions run
/// before all of that is done, it is.
struct Metered<T: 'static> {
    store: Store<T>,
    /// Fuel; 0 where none is counted.
    given: u64,
    /// Whether what is burnt is the guest's.
    begun: bool,
    meters: Arc<Meters>,
}

impl<T> Metered<T> {
    fn new(mut store: Store<T>, launch: &Launch, meters: &Arc<Meters>, instances: Instances) -> Self {
        let begun = instances.runs_code;
        let given = match launch.meter {
            // Unlimited fuel is more than any machine burns in a century.
            Meter::Fuel => launch.spec.limits.fuel.map_or(u64::MAX, Fuel::get),
            Meter::Epochs => 0,
        };
        match launch.meter {
            Meter::Fuel => {
                let until_then = if begun { given } else { u64::MAX };
                store.set_fuel(until_then).expect("the configuration for this meter turns fuel on");
                let step = if instances.throws { FUEL_STEP_THROWING } else { FUEL_STEP };
                store.fuel_async_yield_interval(Some(step)).expect("the interval is not 0");
            }
            Meter::Epochs => {
                store.set_epoch_deadline(EPOCHS_STEP);
                store.epoch_deadline_async_yield_and_update(EPOCHS_STEP);
            }
        }
        Self { store, given, begun, meters: Arc::clone(meters) }
    }

    /// From now on it is the guest that runs.
    fn begin(&mut self) {
        if !self.begun && self.given > 0 {
            self.store.set_fuel(self.given).expect("it was set before");
        }
        self.begun = true;
    }
}

impl<T> Drop for Metered<T> {
    fn drop(&mut self) {
        let left = if self.begun { self.store.get_fuel().unwrap_or(0) } else { self.given };
        self.meters.fuel_burnt(self.given - left);
    }
}
