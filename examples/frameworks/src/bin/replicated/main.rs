//! A framework with a standby: two instances with one store, of which the second goes on when the first dies.

mod items;
mod place;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use haggle_examples::{Master, upload_module};
use haggle_sdk::{Event, Events, Framework, FrameworkInfo, Offer, Store, StoredFramework, Task, TaskState, TaskStatus};
use tokio::time::timeout;

use items::Items;
use place::Place;

/// How long an offer that is of no use need not come again.
const REFUSE: Duration = Duration::from_secs(5);

/// How long our tasks live on while no instance is there, and how long the master is looked for.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// How soon to ask again after a task of which the master did not know where it stands.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Does a number of items, each with one task, and outlives its own death: start it twice with the same store. One
/// instance works, the other stands by. Kill the first (kill -9 will do), and the second takes over: it is the same
/// framework, whose tasks have run on, and does what is left.
///
/// Try it: `haggle up` in one terminal, and in two others `replicated --store /tmp/replicated`.
///
/// With a folder, both are on one machine, and the second takes over as soon as the first is dead. With etcd they can be on
/// two: `etcd` in one more terminal, and `replicated --store etcd://127.0.0.1:2379/replicated`. There the second takes over
/// when the first has been silent for five seconds, so it may be alive. Try that too: `kill -STOP` the first, and when
/// the second works, `kill -CONT` it: it writes nothing, takes nothing back, says why, and ends.
#[derive(Parser)]
struct Args {
    /// Where the instances keep what the framework must not forget: a folder for this alone, or a key in etcd
    #[arg(long, value_name = "DIR|etcd://HOST:PORT[,HOST:PORT…]/KEY")]
    store: Place,

    /// How many items there are
    #[arg(long, value_name = "N", default_value_t = 20)]
    items: u32,

    /// For how long the task of each item sleeps
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,

    #[command(flatten)]
    master: Master,

    /// The module of the tasks: a program that sleeps for its argument's seconds
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
    match args.store.clone() {
        Place::Folder(folder) => work(args, place::folder(folder).await?).await,
        Place::Etcd(config) => work(args, place::etcd(&config).await?).await,
    }
}

/// Works as the instance that holds the store.
async fn work(args: Args, store: impl Store) -> anyhow::Result<()> {
    let client = args.master.connect().await?;
    let module = upload_module(&client, &args.module).await?;
    let sleeper = Task::new(module).arg(args.seconds.to_string()).cpus("0.5").mem("32MiB");

    let info = FrameworkInfo {
        name: "replicated".to_owned(),
        roles: vec![FrameworkInfo::DEFAULT_ROLE.to_owned()],
        failover_timeout: FAILOVER_TIMEOUT,
    };
    let (framework, mut events) = Framework::connect_stored(&client, info, store).await?;
    let items = Items::read(args.items, &framework.memory().note)?;
    if framework.is_successor() {
        let launched = framework.memory().launched.len();
        println!("took over {}: {} items done, {launched} launched", framework.id(), items.done());
    } else {
        println!("registered as {}", framework.id());
    }

    let mut instance = Instance { framework, items, sleeper };
    instance.drive(&mut events).await?;

    let id = instance.framework.id();
    instance.framework.teardown(events).await.context("cannot leave")?;
    println!("all {} items are done; unregistered {id}", args.items);
    Ok(())
}

/// The instance that works.
struct Instance<S> {
    framework: StoredFramework<S>,
    items: Items,
    sleeper: Task,
}

impl<S: Store> Instance<S> {
    /// Launches what is left, and waits for its end.
    async fn drive(&mut self, events: &mut Events) -> anyhow::Result<()> {
        let mut is_in_doubt = false;
        while !self.items.are_done() {
            let pause = if is_in_doubt { ASK_AGAIN } else { Duration::MAX };
            let Ok(event) = timeout(pause, events.next()).await else {
                is_in_doubt = false;
                self.framework.reconcile().await?;
                continue;
            };
            match event.context("the session with the master is over")? {
                Event::Offers(offers) => {
                    for offer in offers {
                        self.launch(offer).await?;
                    }
                }
                Event::Update(status) => {
                    is_in_doubt |= status.state == TaskState::Unknown;
                    self.update(status).await?;
                }
                // What is ended for maintenance is an item that is left, as any other, and it opens no allocation.
                Event::Rescinded(_)
                | Event::OperationDropped { .. }
                | Event::InverseOffers(_)
                | Event::InverseRescinded(_)
                | Event::Queue(_) => {}
                Event::AgentLost(agent) => println!("{agent} is gone"),
                Event::Disconnected(why) => println!("lost the master ({why}); looking for it"),
                Event::Subscribed(id) => {
                    println!("back at the master as {id}");
                    self.framework.reconcile().await?;
                }
                Event::Error(why) => bail!("the session is over: {why}"),
            }
        }
        Ok(())
    }

    /// Fills an offer with items that are left.
    async fn launch(&mut self, offer: Offer) -> anyhow::Result<()> {
        let left = self.items.left(self.framework.memory());
        let mut free = offer.resources.clone();
        let fitting: Vec<_> = left.iter().take_while(|_| free.take(self.sleeper.wants()).is_ok()).collect();
        let tasks: Vec<Task> = fitting.iter().map(|name| self.sleeper.clone().name(name.as_str())).collect();
        if tasks.is_empty() {
            return Ok(self.framework.framework().decline([offer.id], REFUSE).await?);
        }
        let (agent, refuse) = (offer.agent, if fitting.len() < left.len() { Duration::ZERO } else { REFUSE });
        let launched = self.framework.accept(&[offer], &tasks, refuse).await?;
        for (task, name) in launched.iter().zip(fitting) {
            println!("launched {name} as {task} on {agent}");
        }
        Ok(())
    }

    async fn update(&mut self, status: TaskStatus) -> anyhow::Result<()> {
        let launched = self.framework.memory().launched.get(&status.task.number);
        let name = launched.filter(|_| self.framework.is_launched(status.task)).map(|launched| launched.name.clone());
        // An end that was written down before is only acknowledged once more.
        let Some(name) = name.filter(|_| status.state.is_terminal()) else {
            return Ok(self.framework.acknowledge(&[status], None).await?);
        };
        println!("{name} is {}", status.state);
        if matches!(status.state, TaskState::Failed | TaskState::Error) {
            bail!("{} of {name} is {}: {}", status.task, status.state, status.message);
        }
        let is_done = status.state == TaskState::Finished;
        if is_done {
            self.items.finish(&name);
        }
        self.framework.acknowledge(&[status], Some(self.items.note())).await?;
        if !is_done {
            // It is to be launched once more, wherever there is room now.
            self.framework.framework().revive().await?;
        }
        Ok(())
    }
}
