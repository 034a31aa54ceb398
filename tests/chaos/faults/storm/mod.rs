//! Thousands of agents that come back at once, after the master that led them was killed.

mod simulated;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use haggle_core::TaskState;
use haggle_kit::{Home, PATIENCE, until};
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::v1::{GetMasterRequest, ListAgentsRequest};
use haggle_sdk::{Client, Event, Events, Framework, FrameworkInfo};
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use super::{ALONE, bound, report};
use crate::checker::Figures;
use crate::form::{Form, STORM};
use crate::world::{Plan, World};
use simulated::Simulated;

/// Between two questions to the master.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Tasks of each agent.
const TASKS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm() {
    let _alone = ALONE.lock().await;
    let form = Form::get();
    let agents = form.of(5_000, 300);
    let mut world = World::start(Plan { agents: 0, ..Plan::FULL }).await;
    let client = world.client().await;
    let info =
        FrameworkInfo { name: "storm".into(), roles: vec!["storm".into()], failover_timeout: Duration::from_secs(300) };
    let (framework, events) = Framework::connect(&client, info).await.expect("the master takes a framework in");
    let heard = Arc::new(Heard::default());
    let hearing = tokio::spawn(hear(framework.clone(), events, Arc::clone(&heard)));

    // Without tasks at first: what they held, the next master hears from them.
    let (holds, held) = watch::channel(false);
    let mut simulated = JoinSet::new();
    for number in 0..agents {
        let agent = Simulated { number, framework: framework.id(), tasks: TASKS, holds: held.clone() };
        simulated.spawn(agent.live(world.home(), Arc::clone(&world.reign)));
    }
    until_connected(&client, agents, PATIENCE).await.expect("every agent registers with the first master");
    let before = world.reign.leads().await;
    holds.send_replace(true);
    world.masters[before.master].kill();
    let killed = Instant::now();
    let after = world.reign.leads_after(before.epoch).await;
    let led = Instant::now();
    let url = world.reign.address().expect("a master leads");
    let probe = Probe::start(world.home(), format!("http://{url}"));
    let registered = until_connected(&client, agents, PATIENCE).await;
    let took = led.elapsed().as_secs_f64();
    let all = usize::try_from(agents * TASKS).expect("a number of tasks");
    until("every task is told to run", async || (heard.running.load(Ordering::Relaxed) >= all).then_some(())).await;
    let told = led.elapsed().as_secs_f64();

    let mut figures = Figures::default();
    figures.count("agents", usize::try_from(agents).expect("a number of agents"));
    figures.count("epoch after the failover", usize::try_from(after.epoch).unwrap_or_default());
    figures.spread("from the kill until another master leads", "s", &[(led - killed).as_secs_f64()]);
    figures.none("agents that did not register", usize::from(registered.is_none()));
    figures.all_below("until all are registered, from when it leads", "s", bound(form, 10.0), &[took]);
    figures.spread("until every task is told to run", "s", &[told]);
    figures.p99_below("answers to GetMaster and to ListAgents, its first page", "s", bound(form, 1.0), &probe.end());
    figures.none("tasks told to be lost, gone or unreachable", heard.lost.load(Ordering::Relaxed));
    let removed = crate::checker::since(&world.master_log(after.master), 0);
    let removed = removed.iter().filter(|line| line.starts_with("agent-") && line.contains("removed")).count();
    figures.none("agents given up", removed);
    hearing.abort();
    simulated.shutdown().await;
    report(STORM, world, &figures);
}

/// Waits until so many are connected; `None` when they are not in time.
async fn until_connected(client: &Client, agents: u64, patience: Duration) -> Option<()> {
    let connected = async {
        loop {
            let listed = client.agents().await.unwrap_or_default();
            if listed.iter().filter(|agent| agent.connected).count() as u64 >= agents {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(patience, connected).await.ok()
}

/// What the framework was told.
#[derive(Debug, Default)]
struct Heard {
    running: AtomicUsize,
    lost: AtomicUsize,
}

async fn hear(framework: Framework, mut events: Events, heard: Arc<Heard>) {
    while let Some(batch) = events.next_batch().await {
        let mut updates = Vec::new();
        for event in batch {
            let Event::Update(status) = event else { continue };
            match status.state {
                TaskState::Running => drop(heard.running.fetch_add(1, Ordering::Relaxed)),
                TaskState::Unreachable | TaskState::Lost | TaskState::Gone | TaskState::Dropped => {
                    heard.lost.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
            updates.push(status);
        }
        if framework.acknowledge(&updates).await.is_err() {
            return;
        }
    }
}

/// Asks the master again and again, and keeps how long each answer took. On a thread of its own: this process is busy
/// with thousands of agents, and that is not to be measured.
struct Probe {
    asking: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Probe {
    fn start(home: Home, url: String) -> Self {
        let asking = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&asking);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let endpoint = Endpoint::from_shared(url.clone()).expect("the address of a master");
                let channel = endpoint.connect_lazy();
                let mut took = Vec::new();
                while goes_on.load(Ordering::Relaxed) {
                    let mut operator = OperatorClient::new(home.show(&url, channel.clone()));
                    let asked = Instant::now();
                    let master = operator.get_master(GetMasterRequest {}).await;
                    let answered = asked.elapsed().as_secs_f64();
                    let asked = Instant::now();
                    let page = async { operator.list_agents(ListAgentsRequest {}).await?.into_inner().message().await };
                    let page = page.await;
                    if master.is_ok() && page.is_ok() {
                        took.extend([answered, asked.elapsed().as_secs_f64()]);
                    }
                    sleep(ASK_EVERY).await;
                }
                took
            })
        });
        Self { asking, thread }
    }

    fn end(self) -> Vec<f64> {
        self.asking.store(false, Ordering::Relaxed);
        self.thread.join().expect("no probe panics")
    }
}
