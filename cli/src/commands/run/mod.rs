//! `haggle run`: from a module to its exit code.

mod account;
mod depot;
mod inputs;
mod outputs;
mod packages;
mod plan;
mod tally;
mod volumes;
mod waiting;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use haggle_core::{Digest, MilliCpu};
use haggle_master::{ArtifactLimits, Collector, Keeper};
use haggle_sdk::{Client, ClientBuilder, Progress, Report, RunError, Runner, Task, WaitReason};
use haggle_sources::Source;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

pub(crate) use inputs::InputError;
pub(crate) use packages::PackageError;

use super::follow::follow_authority;
use super::{Verdict, one_loop};
use crate::args::{Contradiction, RunArgs};
use crate::embedded::{self, Beginning, Cluster};
use crate::error::CommandError;
use crate::module::Module;
use crate::output::printer::{self, Printer};
use crate::signals::Signals;
use crate::sources;
use crate::target::{Origin, Target};
use crate::{exit, logging, output};
use account::Account;
use depot::Depot;
use inputs::Found;
use outputs::Outputs;
use plan::{Plan, Stored};
use waiting::Waiting;

/// Uploads at the same time: hides the time of each round trip.
const UPLOADS: usize = 4;

/// How often a bar is drawn anew, and how often a line tells of progress where there is no bar.
const BAR_PERIOD: Duration = Duration::from_millis(100);
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// How often the master is asked for agents while there is none, and after how long that is told.
const AGENTS_PERIOD: Duration = Duration::from_millis(100);
const TELL_AFTER: Duration = Duration::from_secs(5);

pub(super) fn run(target: &Target, args: RunArgs) -> Verdict {
    if args.revocable && target.is_default() {
        return Err(Contradiction::NobodyToLeaveAnything.into());
    }
    if args.traces.is_given() && !target.is_default() {
        return Err(Contradiction::TracesElsewhere(target.origin.to_string()).into());
    }
    let begun = target.is_default().then(|| Beginning::new(true)).transpose()?;
    // Elsewhere the cluster's own master and agents know it.
    let traces = if target.is_default() { args.traces.collector()? } else { None };
    let plan = Plan::of(args)?;
    let runtime = one_loop()?;
    let verdict = runtime.block_on(async {
        logging::start_if_asked()?;
        let mut signals = Signals::catch().map_err(CommandError::Signals)?;
        if let Some(begun) = begun {
            return embedded(begun, plan.without_a_cluster(), traces, &mut signals).await;
        }
        if let Origin::Context { current: true, .. } = target.origin
            && !plan.quiet
        {
            eprintln!("haggle: on the cluster of {}", target.origin);
        }
        at(super::client(target), Some(target), None, async { Ok(()) }, plan, &mut signals).await
    });
    // Its threads end with the process, which is next.
    runtime.shutdown_background();
    verdict
}

/// On a cluster that is gone afterwards.
async fn embedded(begun: Beginning, mut plan: Plan, traces: Option<Collector>, signals: &mut Signals) -> Verdict {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // It is the user's own machine and own task: what they grant is theirs to give.
    let starting = Cluster::start(
        begun,
        embedded::Plan {
            listen,
            is_shared: false,
            state: None,
            agents: 1,
            cpus: None,
            mem: None,
            allowed_folders: plan.host_folders(),
            allow_network: true,
            oversubscribe: None,
            modules: None,
            traces,
            sources: sources::settings_for(plan.sources())?,
            artifacts: ArtifactLimits::default(),
        },
    );
    let cluster = tokio::select! {
        cluster = starting => cluster?,
        () = signals.next() => return Ok(exit::INTERRUPTED),
    };
    let largest = cluster.agents().iter().map(|agent| agent.resources().cpus).max();
    plan.cpus = plan.cpus.or(largest.map(default_cpus));
    let verdict = at(cluster.client(), None, Some(cluster.keeper()), cluster.joined(), plan, signals).await;
    cluster.stop().await;
    verdict
}

/// On a cluster, which is the target's if there is one, whose store is here if there is a keeper, and which is `ready` for tasks
/// when that resolves.
async fn at(
    cluster: ClientBuilder,
    target: Option<&Target>,
    keeper: Option<Keeper>,
    ready: impl Future<Output = Result<(), CommandError>>,
    plan: Plan,
    signals: &mut Signals,
) -> Verdict {
    let connecting = async {
        let client = cluster.connect().await?;
        if let Some(target) = target {
            follow_authority(target, &client).await;
        }
        volumes::check(&client, &plan).await?;
        Ok::<_, CommandError>(client)
    };
    let preparing = async {
        match keeper {
            Some(keeper) => tokio::try_join!(connecting, store(Depot::Here(keeper), &plan), ready),
            None => {
                let storing = async {
                    let client = connecting.await?;
                    let stored = store(Depot::Remote(client.clone()), &plan).await?;
                    Ok((client, stored))
                };
                let ((client, stored), ()) = tokio::try_join!(storing, ready)?;
                Ok((client, stored, ()))
            }
        }
    };
    let (client, stored, ()) = tokio::select! {
        prepared = preparing => prepared?,
        () = signals.next() => return Ok(exit::INTERRUPTED),
    };

    let shows_progress = plan.array && !plan.json && !plan.quiet;
    let printer = Printer::start(shows_progress.then_some(plan.count.into())).map_err(CommandError::Threads)?;
    let mut account = Account::new(&plan, printer.voice());
    let driven = drive(&client, &plan, stored, &mut account, signals).await;
    let code = account.close().await;
    printer.finish()?;
    let interrupted = driven?;

    if plan.array && !plan.json {
        output::line(&account.table().to_string())?;
    }
    Ok(if interrupted { exit::INTERRUPTED } else { code })
}

/// Brings everything to the master that the tasks need.
async fn store(depot: Depot, plan: &Plan) -> Result<Stored, CommandError> {
    let module = match &plan.module {
        Module::Bytes { bytes, .. } => depot.bytes(bytes.clone()).await?,
        Module::Stored(digest) if depot.has(*digest).await? => *digest,
        Module::Stored(digest) => return Err(CommandError::NoSuchModule(*digest)),
        Module::Remote(source) => pull(&depot, source, true, plan).await?,
    };
    let script = match &plan.script {
        Some(script) => Some(depot.bytes(script.source.clone()).await?),
        None => None,
    };
    let bring = async |(guest, found): (&String, &Found)| {
        let input = match found {
            Found::File(host) => (guest.clone(), depot.file(host).await?),
            Found::Text(text) => (guest.clone(), depot.bytes(text.clone()).await?),
            Found::Remote(source) => (guest.clone(), pull(&depot, source, false, plan).await?),
            Found::EmptyFolder => (format!("{guest}/"), depot.bytes(Vec::new()).await?),
        };
        Ok::<_, CommandError>(input)
    };
    let found = &plan.inputs.found;
    let inputs = stream::iter(found).map(bring).buffered(UPLOADS).try_collect().await?;
    Ok(Stored { module, script, inputs })
}

/// Has it fetched, and says what runs: a tag may be another artifact tomorrow.
async fn pull(depot: &Depot, source: &Source, module: bool, plan: &Plan) -> Result<Digest, CommandError> {
    let (digest, pinned) = depot.pull(source, module).await?;
    if !plan.quiet {
        eprintln!(
            "haggle: {} is {digest}, from {}",
            output::printable(&source.to_string()),
            output::printable(&pinned)
        );
    }
    Ok(digest)
}

/// One core, or all of the largest agent when that has less.
fn default_cpus(largest: MilliCpu) -> MilliCpu {
    largest.min(Task::DEFAULT_CPUS)
}

/// What the largest agent has that the task can run on, or else the largest of all. Waits for an agent while there is none.
async fn largest_cpus(
    client: &Client,
    plan: &Plan,
    task: &Task,
    account: &mut Account,
) -> Result<MilliCpu, CommandError> {
    let began = Instant::now();
    let mut is_told = false;
    loop {
        let agents = client.agents().await?;
        let connected = agents.iter().filter(|agent| agent.connected).map(|agent| &agent.info);
        let largest = connected.map(|info| (task.suits(info).is_ok(), info.resources.cpus)).max();
        if let Some((_, largest)) = largest {
            return Ok(largest);
        }
        if began.elapsed() >= TELL_AFTER && !std::mem::replace(&mut is_told, true) {
            let (since, waiting) = (began.elapsed(), plan.count as usize);
            account.enter(&Progress::Waiting { index: 0, since, waiting, why: WaitReason::NoAgents }).await;
        }
        sleep(AGENTS_PERIOD).await;
    }
}

/// Drives the tasks to their end, and shows what they write. Says whether a signal ended them.
async fn drive(
    client: &Client,
    plan: &Plan,
    stored: Stored,
    account: &mut Account,
    signals: &mut Signals,
) -> Result<bool, CommandError> {
    let any = plan.task(&stored, MilliCpu::ZERO);
    let cpus = match plan.cpus {
        Some(cpus) => cpus,
        None => tokio::select! {
            largest = largest_cpus(client, plan, &any, account) => {
                default_cpus(largest?)
            }
            () = signals.next() => return Ok(true),
        },
    };
    let tasks = plan.tasks(&stored, cpus);
    let (interrupt, interrupted) = oneshot::channel::<()>();
    // Holds a few events for each task. A bound would hold up the session with the master instead.
    let (news, mut heard) = mpsc::unbounded_channel();
    let runner = Runner::new(client).name(plan.framework_name()).role(&plan.role).retries(plan.retries);
    let runner = if plan.gang { runner.gang() } else { runner };
    let mut running = tokio::spawn(async move {
        let stop = async {
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        // Whoever listened is gone once a second signal came.
        runner.run_until(tasks, stop, |progress| _ = news.send(progress.clone())).await
    });

    let silent = plan.json || (plan.array && plan.quiet);
    let mut outputs = (!silent).then(|| Outputs::new(client.clone(), account.voice(), plan.array));
    let mut waiting = Waiting::new(client, plan);
    let mut interrupt = Some(interrupt);
    let mut period = interval(if printer::draws_progress() { BAR_PERIOD } else { LINE_PERIOD });
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    period.tick().await;
    loop {
        tokio::select! {
            biased;
            () = signals.next() => match interrupt.take() {
                Some(interrupt) => {
                    account.note("the tasks are being ended; Ctrl-C again to leave at once").await;
                    let _ = interrupt.send(());
                }
                None => {
                    running.abort();
                    return Ok(true);
                }
            },
            news = heard.recv() => match news {
                Some(progress) => {
                    if let Some(outputs) = &mut outputs {
                        follow(outputs, &progress);
                    }
                    if let Some(progress) = waiting.note(progress) {
                        account.enter(&progress).await;
                    }
                }
                None => break,
            },
            () = async { match &mut outputs {
                Some(outputs) => outputs.advance().await,
                None => std::future::pending().await,
            } } => {}
            reasons = waiting.reasons() => account.tell_waiting(&reasons).await,
            _ = period.tick() => account.tell_progress(),
        }
    }
    report(&mut running).await?;
    if let Some(outputs) = outputs {
        tokio::select! {
            () = outputs.finish() => {}
            () = signals.next() => return Ok(true),
        }
    }
    Ok(interrupt.is_none())
}

/// A panic in there is a bug of ours; it goes on here.
async fn report(running: &mut tokio::task::JoinHandle<Result<Report, RunError>>) -> Result<Report, CommandError> {
    match running.await {
        Ok(report) => Ok(report?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn follow(outputs: &mut Outputs, progress: &Progress) {
    let wrote = |status: &haggle_core::TaskStatus| status.usage.is_some_and(|usage| !usage.output.is_zero());
    match progress {
        Progress::Running { index, task } => outputs.started(*task, *index),
        Progress::Retrying { index, status, .. } => outputs.ended(status.task, *index, wrote(status)),
        Progress::Ended(outcome) => {
            if let Some(status) = &outcome.status {
                outputs.ended(status.task, outcome.index, wrote(status));
            }
        }
        Progress::Waiting { .. } | Progress::Launched { .. } => {}
    }
}
