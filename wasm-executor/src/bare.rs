//! The same engine without our scheduler: what metering costs by itself, for whoever measures what the rest adds.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_async};

use crate::clock::thread_cpu_time;
use crate::engine;
use crate::event::Meter;
use crate::run::EPOCHS_STEP;
use crate::scheduler::EPOCH;

/// A guest comes back after this much fuel: often enough for turns of milliseconds, and so seldom that it costs nothing.
const FUEL_SLICE: u64 = 1_000_000;

/// A core module of WASI 0.1, compiled.
pub struct Bare {
    engine: Engine,
    module: InstancePre<WasiP1Ctx>,
    meter: Option<Meter>,
}

/// Why a module does not run here.
#[derive(Debug, thiserror::Error)]
#[error("does not run without a scheduler: {0}")]
pub struct BareError(String);

impl From<wasmtime::Error> for BareError {
    fn from(error: wasmtime::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl Bare {
    /// Compiles a module in the binary format, as it is. It is trusted: nothing bounds the compilation. Without a
    /// meter nothing can stop it either.
    ///
    /// # Errors
    /// When it is not a valid module, or imports what WASI 0.1 does not have.
    pub fn compile(module: &[u8], meter: Option<Meter>) -> Result<Self, BareError> {
        let engine = Engine::new(&config(meter))?;
        let mut linker = Linker::new(&engine);
        add_to_linker_async(&mut linker, |context| context)?;
        let module = linker.instantiate_pre(&Module::new(&engine, module)?)?;
        Ok(Self { engine, module, meter })
    }

    /// Runs it to its end on this thread, whatever it costs, and says how much CPU time that was.
    ///
    /// # Errors
    /// When it traps, or exits with another code than 0.
    pub fn run(&self, args: &[&str]) -> Result<Duration, BareError> {
        self.run_in_turns(args, 1, Duration::MAX)
    }

    /// The same for so many of them, which take turns of this much CPU time, and pause for nothing else. Says what all
    /// took.
    ///
    /// # Errors
    /// As [`Self::run`], of any of them.
    pub fn run_in_turns(&self, args: &[&str], guests: usize, turn: Duration) -> Result<Duration, BareError> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            if self.meter == Some(Meter::Epochs) {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        thread::sleep(EPOCH);
                        self.engine.increment_epoch();
                    }
                });
            }
            let began = thread_cpu_time();
            let result = poll_to_end((0..guests).map(|_| Box::pin(self.guest(args))).collect(), turn);
            let used = thread_cpu_time() - began;
            over.store(true, Ordering::Relaxed);
            result.map(|()| used)
        })
    }

    async fn guest(&self, args: &[&str]) -> Result<(), BareError> {
        let mut store = Store::new(&self.engine, WasiCtxBuilder::new().args(args).build_p1());
        match self.meter {
            None => {}
            Some(Meter::Fuel) => {
                store.set_fuel(u64::MAX)?;
                store.fuel_async_yield_interval(Some(FUEL_SLICE))?;
            }
            Some(Meter::Epochs) => {
                store.set_epoch_deadline(EPOCHS_STEP);
                store.epoch_deadline_async_yield_and_update(EPOCHS_STEP);
            }
        }
        let instance = self.module.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        Ok(start.call_async(&mut store, ()).await?)
    }
}

fn poll_to_end<G: Future<Output = Result<(), BareError>>>(
    mut guests: VecDeque<Pin<Box<G>>>,
    turn: Duration,
) -> Result<(), BareError> {
    let mut context = Context::from_waker(Waker::noop());
    while let Some(mut guest) = guests.pop_front() {
        let began = thread_cpu_time();
        // A guest that computes is pending only where it yields.
        loop {
            match guest.as_mut().poll(&mut context) {
                Poll::Ready(result) => break result?,
                Poll::Pending if thread_cpu_time() - began < turn => {}
                Poll::Pending => break guests.push_back(guest),
            }
        }
    }
    Ok(())
}

/// That of the executor, but for the metering, and without a pool, which a single guest has no use for.
fn config(meter: Option<Meter>) -> Config {
    let mut config = engine::config(meter.unwrap_or(Meter::Epochs));
    config.epoch_interruption(meter == Some(Meter::Epochs));
    config
}
