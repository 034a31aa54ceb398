//! The first framework one writes: one task, on one offer, step by step.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use haggle_examples::{Master, upload_module};
use haggle_sdk::{
    Client, Event, Events, Framework, FrameworkInfo, Offer, OutputStream, Task, TaskId, TaskState, TaskStatus,
};

/// How long an offer that is too small need not come again.
const REFUSE: Duration = Duration::from_secs(5);

/// How long our tasks live on should we lose the master, and how long we look for it.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the classic Mesos tutorial does, end to end: connect to a master, register a framework, wait for an offer of
/// 1 CPU and 1 GiB, launch a task there that sleeps for a while, wait until it is done, release what is left, and
/// unregister. Every step is printed.
///
/// Try it: `haggle up` in one terminal, this in another.
#[derive(Parser)]
struct Args {
    /// For how long the task sleeps
    #[arg(default_value_t = 3.0)]
    seconds: f64,

    #[command(flatten)]
    master: Master,

    /// The module of the task: a program that sleeps for its argument's seconds
    #[arg(long, value_name = "PATH", default_value = "target/wasm/sleeper.wasm")]
    module: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let client = args.master.connect().await?;
    let module = upload_module(&client, &args.module).await?;
    let sleeper = Task::new(module).name("sleeper").arg(args.seconds.to_string()).cpus("1").mem("1GiB");

    let info = FrameworkInfo {
        name: "first".to_owned(),
        roles: vec![FrameworkInfo::DEFAULT_ROLE.to_owned()],
        failover_timeout: FAILOVER_TIMEOUT,
    };
    let (framework, mut events) = Framework::connect(&client, info).await?;
    println!("registered as {}", framework.id());

    let done = drive(&client, &framework, &mut events, &sleeper).await;

    // Whatever happened: an orderly farewell ends what still runs, and gives everything back.
    let id = framework.id();
    framework.teardown(events).await.context("the session was over before the farewell")?;
    println!("unregistered {id}");
    done
}

/// Launches the task on the first offer that is large enough, and waits for its end.
async fn drive(client: &Client, framework: &Framework, events: &mut Events, sleeper: &Task) -> anyhow::Result<()> {
    let mut launched = false;
    println!("waiting for an offer of {}", sleeper.wants());
    loop {
        match events.next().await.context("the session with the master is over")? {
            Event::Offers(offers) => {
                for offer in offers {
                    if launched {
                        // One task is all we have: an idle framework holds on to nothing.
                        framework.decline([offer.id], REFUSE).await?;
                    } else {
                        launched = launch(framework, &offer, sleeper).await?;
                    }
                }
            }
            Event::Rescinded(offers) => println!("{} offers were taken back", offers.len()),
            Event::InverseOffers(offers) => {
                // Its task takes a moment: it is off any agent in time.
                framework.accept_inverse(offers.iter().map(|offer| offer.id)).await?;
            }
            Event::InverseRescinded(_) => {}
            Event::Update(status) => {
                println!("{} is {}", status.task, status.state);
                // Until it is acknowledged, an update is sent again and again.
                framework.acknowledge([&status]).await?;
                if status.state.is_terminal() {
                    return finish(client, &status).await;
                }
            }
            // It opens no allocation.
            Event::Queue(_) => {}
            Event::AgentLost(agent) => println!("{agent} is gone"),
            Event::OperationDropped { why, .. } => println!("an operation was not done: {why}"),
            Event::Disconnected(why) => println!("lost the master ({why}); looking for it"),
            Event::Subscribed(id) => println!("back at the master as {id}"),
            Event::Error(why) => bail!("the master ended the session: {why}"),
        }
    }
}

/// Takes an offer if it is large enough.
async fn launch(framework: &Framework, offer: &Offer, sleeper: &Task) -> anyhow::Result<bool> {
    let from = format!("{} from {} ({})", offer.id, offer.agent, offer.agent_name);
    if let Err(shortage) = offer.resources.fits(sleeper.wants()) {
        println!("{from} is too small: the task {shortage}");
        framework.decline([offer.id], REFUSE).await?;
        return Ok(false);
    }
    println!("{from} is large enough: {}", offer.resources);
    let task = TaskId { framework: framework.id(), number: 1 };
    // What the task does not need is released together with the launch, and no more is wanted.
    framework.accept([offer.id], [sleeper.spec(task)], REFUSE).await?;
    framework.suppress().await?;
    println!("launched {task}, released the rest of the offer");
    Ok(true)
}

async fn finish(client: &Client, status: &TaskStatus) -> anyhow::Result<()> {
    if status.state != TaskState::Finished {
        let reason = status.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        bail!("{} did not finish: it is {}{reason}: {}", status.task, status.state, status.message);
    }
    let printed = client.log(status.task, OutputStream::Stdout, true).read_to_end().await?;
    println!("{} printed: {}", status.task, String::from_utf8_lossy(&printed).trim_end());
    if let Some(usage) = status.usage {
        println!("it took {:.3?}, of which {:.3?} on a CPU", usage.wall, usage.cpu);
    }
    Ok(())
}
