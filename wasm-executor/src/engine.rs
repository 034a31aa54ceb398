//! The one configuration of wasmtime: compiler, cache, executor and tests all get theirs here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use wasmtime::{Collector, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::Meter;
use crate::compile::EDITION;
use crate::fuel;
use crate::instances;

/// A guest's address space. Reserving all 4 GiB (and a guard behind) lets the compiler leave out bounds
/// checks, which cost 1.4 to 1.5 times the run time. It is address space, not memory.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Tasks in the pools of a process, both forms together. Each memory reserves a little over 4 GiB of the 128 TiB that
/// a process can address, which would do for 32,000; but Linux lets a process have 65,530 mappings
/// (`vm.max_map_count`), of which each stack of a pool takes two from the start, and each task's memory two more.
const POOLS_MAX: usize = 16_000;

/// Of these, what is kept for the form that is not an executor's usual one: tasks with a fuel budget where nothing else
/// is metered.
const UNUSUAL_MAX: usize = 2_000;

/// Tasks of one pool whose modules throw exceptions: each has a heap for them, which takes as much address space and as
/// many mappings as another memory.
const THROWING_MAX: u32 = 2_000;

/// Tasks of the usual form in one executor at most.
pub(crate) const TASKS_MAX: usize = POOLS_MAX - UNUSUAL_MAX;

/// Bytes of a linear memory that are zeroed in place instead of being given back to the system when a task
/// ends: page faults of the next task and the kernel's lock on the address space cost more than the zeroing.
/// The memory stays resident, so this is also the idle cost of a warm slot.
const MEMORY_KEEP_RESIDENT: usize = 1 << 20;
const TABLE_KEEP_RESIDENT: usize = 64 << 10;

/// Slots that stay warm. More than can run at once by far on any machine, few enough that the resident memory
/// of an idle executor stays small.
const WARM_SLOTS: u32 = 64;

/// Elements in one table. CPython's component has about 15,000.
const TABLE_ELEMENTS: usize = 100_000;

/// Core instances of one component. Components that link shared libraries have some dozens.
const CORE_INSTANCES_PER_COMPONENT: u32 = 128;

/// Guests' native stack: as deep as the wasmtime command line lets them go. What Rust and C programs have on a stack of
/// their own lies in linear memory beside it.
pub(crate) const WASM_STACK: usize = 512 << 10;
/// The same, and as much again for the host's frames when the guest calls it, less the page that guards it: so two
/// stacks share a page of the system's page tables, of which each suspended task holds some.
const FIBER_STACK: usize = (1 << 20) - (4 << 10);

/// Tasks in the small pools of one form, all together. Each slot of a pool costs two calls of the system when the pool is
/// made, so a pool for all that an executor may hold takes some ten milliseconds, which most executors never need.
const SMALL: usize = 256;

/// Of these, the most in the first one, if there are others: whoever waits for an executor to start waits for this pool.
const FIRST: usize = 32;

/// Small pools of one form: one for each worker, up to this many. A task that ends in its first turn, as short ones do, then
/// lives in memory that is in the cache of the processor that runs it, and no other worker waits for the pool's locks.
const SMALL_POOLS_MAX: usize = 8;

/// Windows counts a table's room as used memory from the start, whoever uses it, where others count what is touched: there, a
/// pool has as many tables as tasks and some for components, and there is one small pool.
const IS_COUNTED_WHOLE: bool = cfg!(windows);

/// Where a task's instance lives: a pool for its form of modules, since no engine runs both. The last one of a form is
/// large, the others are small, and filled first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pool {
    meter: Meter,
    number: usize,
}

/// The engines of an executor, one for each pool. The first of the usual form is there from the start, the others are made
/// when they get their first module, so that nobody pays for all who needs one.
pub(crate) struct Engines {
    usual: Meter,
    max_tasks: usize,
    small_pools: usize,
    made: Vec<OnceLock<Result<Engine, String>>>,
}

impl Engines {
    /// `max_tasks` are those of the usual form.
    ///
    /// # Errors
    /// When the machine cannot provide for that many, or wasmtime cannot run here.
    pub(crate) fn new(usual: Meter, max_tasks: usize, workers: usize) -> wasmtime::Result<Self> {
        let small_pools = if IS_COUNTED_WHOLE { 1 } else { workers.clamp(1, SMALL_POOLS_MAX) };
        let mut made = Vec::new();
        made.resize_with(2 * (small_pools + 1), OnceLock::new);
        let engines = Self { usual, max_tasks: max_tasks.clamp(1, TASKS_MAX), small_pools, made };
        let first = engines.first(usual);
        let engine = engine(usual, engines.capacity(first))?;
        engines.made[engines.index(first)].get_or_init(|| Ok(engine));
        Ok(engines)
    }

    /// The engine with this pool.
    ///
    /// # Errors
    /// Says why it cannot be made; it stays so.
    pub(crate) fn get(&self, pool: Pool) -> Result<&Engine, &str> {
        let made = self.made[self.index(pool)].get_or_init(|| {
            engine(pool.meter, self.capacity(pool)).map_err(|error| format!("cannot set up another engine: {error:#}"))
        });
        made.as_ref().map_err(String::as_str)
    }

    /// Whether it was made.
    pub(crate) fn is_made(&self, pool: Pool) -> bool {
        matches!(self.made[self.index(pool)].get(), Some(Ok(_)))
    }

    /// Whether this machine could not provide for it.
    pub(crate) fn is_broken(&self, pool: Pool) -> bool {
        matches!(self.made[self.index(pool)].get(), Some(Err(_)))
    }

    /// Those that were made so far for this form of modules.
    pub(crate) fn of(&self, meter: Meter) -> impl Iterator<Item = &Engine> {
        self.pools(meter).filter_map(|pool| self.made[self.index(pool)].get()?.as_ref().ok())
    }

    /// The pools for this form of modules, the large one last.
    pub(crate) fn pools(&self, meter: Meter) -> impl Iterator<Item = Pool> + Clone + use<> {
        (0..=self.small_pools).map(move |number| Pool { meter, number })
    }

    /// The one that is filled first.
    pub(crate) fn first(&self, meter: Meter) -> Pool {
        Pool { meter, number: 0 }
    }

    /// The one of this worker.
    pub(crate) fn near(&self, meter: Meter, worker: usize) -> Pool {
        Pool { meter, number: worker % self.small_pools }
    }

    /// How many pools there are.
    pub(crate) fn count(&self) -> usize {
        self.made.len()
    }

    /// Each has a number below [`Self::count`].
    pub(crate) fn index(&self, pool: Pool) -> usize {
        pool.meter as usize * (self.small_pools + 1) + pool.number
    }

    /// Tasks that a pool holds at once.
    pub(crate) fn capacity(&self, pool: Pool) -> usize {
        let all = self.tasks(pool.meter);
        let small = all.min(SMALL);
        // As evenly as that goes.
        let part = |whole: usize, parts: usize, number: usize| whole / parts + usize::from(number < whole % parts);
        let even = part(small, self.small_pools, 0);
        let first = if self.small_pools == 1 { even } else { even.min(FIRST) };
        match pool.number {
            0 => first,
            number if number == self.small_pools => all - small,
            number => part(small - first, self.small_pools - 1, number - 1),
        }
    }

    /// Tasks of this form that all its pools hold at once.
    pub(crate) fn tasks(&self, meter: Meter) -> usize {
        if meter == self.usual { self.max_tasks } else { self.max_tasks.min(UNUSUAL_MAX) }
    }
}

/// An engine for modules of this form, whose pool holds `max_tasks` tasks at once.
fn engine(meter: Meter, max_tasks: usize) -> wasmtime::Result<Engine> {
    let pooled = |pagemap_scan| {
        let mut config = config(meter);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(max_tasks, pagemap_scan)));
        Engine::new(&config)
    };
    // Without that call of the kernel (Linux 6.7), pages are zeroed by their position instead of by their use.
    pooled(Enabled::Auto).or_else(|_| pooled(Enabled::No))
}

/// Bytes that the pool of [`compiling`] maps and never touches: its tables, of pointers, each in pages of its own.
#[cfg(any(target_os = "linux", windows))]
pub(crate) const COMPILING_RESERVES: u64 =
    2 * CORE_INSTANCES_PER_COMPONENT as u64 * (TABLE_ELEMENTS as u64 * 8).next_multiple_of(64 << 10);

/// An engine that compiles what an executor runs, and refuses what does not fit its pool. `parallel` compiles the
/// functions of a module on all CPUs.
///
/// # Errors
/// When wasmtime cannot run here.
pub(crate) fn compiling(meter: Meter, parallel: bool) -> wasmtime::Result<Engine> {
    let mut config = config(meter);
    config.parallel_compilation(parallel);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(1, Enabled::No)));
    Engine::new(&config)
}

/// All that machine code depends on. How instances are allocated is not among it.
pub(crate) fn config(meter: Meter) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();

    // One or the other: both together cost a quarter more again (measured, 1.6 against 1.3 to 1.4).
    match meter {
        Meter::Fuel => config.consume_fuel(true).operator_cost(fuel::costs()),
        Meter::Epochs => config.epoch_interruption(true),
    };
    config.cranelift_opt_level(OptLevel::Speed);
    config.max_wasm_stack(WASM_STACK);
    config.async_stack_size(FIBER_STACK);
    config.memory_reservation(MEMORY_RESERVATION);

    // Nobody is told where in the module an instruction comes from, and no debugger unwinds a guest. Of a synthesizer of
    // circuits both would be 8 % of what is kept, and of the memory that compiling takes. (Windows wants the second.)
    config.generate_address_map(false);
    #[cfg(not(windows))]
    config.native_unwind_info(false);

    // The same module with the same input burns the same fuel, on every machine.
    config.relaxed_simd_deterministic(true);

    // What compilers of C++ emit for its exceptions. The objects that are thrown live in a heap of their own, which counts
    // references: it stops the guest for what has died since the last time, and not for all that lives.
    config.wasm_exceptions(true);
    config.collector(Collector::DeferredReferenceCounting);

    // No toolchain emits these unasked, and what is off cannot go wrong.
    config.wasm_gc(false);
    config.wasm_memory64(false);
    // What wasmtime itself puts between the parts of a component copies from one part's memory to the other's. A module
    // of the guest with two memories of its own is still none for the pool, which has one for each.
    config.wasm_multi_memory(true);
    config
}

fn pool(max_tasks: usize, pagemap_scan: Enabled) -> PoolingAllocationConfig {
    let tasks = u32::try_from(max_tasks).unwrap_or(u32::MAX);
    // Instances and tables are cheap; a component has several of each, and its libraries make it more.
    let several = tasks.saturating_mul(8).max(2 * CORE_INSTANCES_PER_COMPONENT);
    let tables = if IS_COUNTED_WHOLE { tasks.saturating_add(2 * CORE_INSTANCES_PER_COMPONENT) } else { several };
    let heaps = tasks.min(THROWING_MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(tasks)
        .total_component_instances(tasks)
        .total_core_instances(several)
        // A heap of exceptions is made of one.
        .total_memories(tasks.saturating_add(16 + heaps))
        .total_gc_heaps(heaps)
        .total_tables(tables)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(8)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_tables_per_module(8)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS.min(tasks))
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .pagemap_scan(pagemap_scan);
    pool
}

/// Names everything that a compiled module depends on: wasmtime's version, this configuration, the CPU, and how modules
/// are rewritten before.
pub(crate) fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    instances::MARK.hash(&mut hasher);
    EDITION.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pool_is_small_and_all_of_them_together_hold_every_task() {
        for (max_tasks, workers) in [(1, 1), (1, 8), (64, 2), (10_000, 1), (10_000, 2), (10_000, 8)] {
            let (usual, small_pools) = (Meter::Fuel, if IS_COUNTED_WHOLE { 1 } else { workers });
            let engines = Engines { usual, max_tasks, small_pools, made: Vec::new() };

            let rooms: Vec<usize> = engines.pools(usual).map(|pool| engines.capacity(pool)).collect();

            assert_eq!(rooms.iter().sum::<usize>(), max_tasks, "{rooms:?}");
            assert!(rooms[0] > 0 && (small_pools == 1 || rooms[0] <= FIRST), "{rooms:?}");
        }
    }
}
