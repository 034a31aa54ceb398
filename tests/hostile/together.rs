//! All hostile guests at once on one agent, beside honest neighbours who are promised their share of it.

mod watch;

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::{Ending, MilliCpu, TaskStatus};
use haggle_kit::{AgentFlags, Cluster, until};
use haggle_sdk::{Client, Runner, Session, Task};
use tokio::task::JoinSet;

use crate::kit::{Ends, Guest, check, exit, wat};
use crate::{cpu, disk, exceptions, host_calls, links, memory, modules, output};
use watch::{Watch, Watched};

/// How long hostile guests come again and again, in seconds: `cargo xtask hostile` says. Each comes once at least.
const SECONDS_VARIABLE: &str = "HAGGLE_HOSTILE_SECONDS";
const SECONDS: u64 = 5;

/// Longer than all of them take once, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(240);

/// The machine of the cluster: two cores, and room for all guests at once.
const AGENT: AgentFlags = AgentFlags { cpus: "2", mem: "8GiB" };

/// What a hostile guest is promised, so that all of them fit; beyond it, they may have what nobody else wants.
const HOSTILE_CPUS: MilliCpu = MilliCpu::new(5);
const HOSTILE_BURST: MilliCpu = MilliCpu::from_cores(1);

/// Four neighbours with a fifth of a core each leave 1.2 cores to the others.
const NEIGHBOURS: usize = 4;
const NEIGHBOUR_CPUS: MilliCpu = MilliCpu::new(200);

/// Rounds of an honest task: some 100 ms of processor time, half a second at its share.
const ROUNDS: u32 = 40_000_000;

/// An honest task ends within this much of the time that its share makes it take. What runs on the machine beside the
/// agent, such as a compiler, has its part in that.
const LATE_AT_MOST: Duration = Duration::from_secs(3);

/// Beside what its tasks were promised, an agent and its executors hold the engines, compiled modules, and stacks.
const OVERHEAD: u64 = 1 << 30;

/// Adds up what one honest task does, and exits with it.
fn honest() -> Guest {
    wat(&format!(
        r#"(memory (export "memory") 4)
        (func (export "_start") (local $i i32) (local $sum i32)
            (loop $more
                (i32.store (i32.and (local.get $i) (i32.const 0xfffc)) (local.get $i))
                (local.set $sum (i32.add (local.get $sum)
                    (i32.load (i32.and (local.get $i) (i32.const 0xfffc)))))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {ROUNDS}))))
            (call $exit (i32.rem_u (local.get $sum) (i32.const 251))))"#
    ))
}

fn answer() -> Ends {
    let rounds = u64::from(ROUNDS);
    let sum = (rounds * (rounds - 1) / 2) & u64::from(u32::MAX);
    exit(i32::try_from(sum % 251).expect("a remainder is small"))
}

/// How long an honest task took, and how long its share makes it take.
struct Pace {
    took: Duration,
    share: Duration,
}

/// What came of the hostile guests.
#[derive(Default)]
struct Hostile {
    guests: usize,
    /// Those that no master takes.
    refused: usize,
    /// Tasks that came to the end that they had to come to.
    ended: usize,
    /// Bytes that all guests together have a right to.
    memory: u64,
    disk: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_harm_neither_the_host_nor_their_neighbours() {
    let seconds = env::var(SECONDS_VARIABLE).map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let mut cluster = Cluster::start(&[AGENT]).await;
    let watch = Watch::start(cluster.agents[0].pid(), cluster.work_dir(0));
    let end = Instant::now() + Duration::from_secs(seconds);

    let all = async { tokio::join!(honest_tasks(&cluster, end), hostile_tasks(&cluster, end)) };
    let patience = PATIENCE + Duration::from_secs(seconds);
    let (paces, hostile) = tokio::time::timeout(patience, all).await.expect("all come to their end");

    let watched = watch.stop();
    tell(&paces, &hostile, &watched);
    for Pace { took, share } in &paces {
        assert!(*took <= *share + LATE_AT_MOST, "an honest task took {took:?}, at its share it takes {share:?}");
    }
    let bound = watched.memory_before + hostile.memory + OVERHEAD;
    assert!(watched.memory < bound, "{} bytes of memory, {bound} at most were promised", watched.memory);
    assert!(watched.disk <= hostile.disk, "{} bytes of disk, {} were promised", watched.disk, hostile.disk);
    assert!(cluster.agents[0].is_running(), "{}", cluster.agents[0].log());
    until("the agent is there, and nothing of any guest is", async || {
        let agents = cluster.client().await.agents().await.ok()?;
        agents.iter().all(|agent| agent.connected && agent.used.is_empty()).then_some(())
    })
    .await;
}

/// Runs honest tasks one after the other, as several neighbours.
async fn honest_tasks(cluster: &Cluster, end: Instant) -> Vec<Pace> {
    let client = cluster.client().await;
    let session = Arc::new(Runner::new(&client).name("honest").start().await.expect("the master takes a framework"));
    let module = client.upload_bytes(honest().module).await.expect("the master takes a module");
    let mut neighbours = JoinSet::new();
    for _ in 0..NEIGHBOURS {
        let session = Arc::clone(&session);
        neighbours.spawn(async move {
            let guest = honest();
            let task = Task::new(module).name("honest").cpus(NEIGHBOUR_CPUS).mem(guest.spec.resources.mem);
            let mut paces = Vec::new();
            while paces.is_empty() || Instant::now() < end {
                let ending = run(&session, &task).await;
                check("an honest neighbour", &guest, &ending, &answer());
                let share = ending.usage.cpu.mul_f64(1000.0 / NEIGHBOUR_CPUS.get() as f64);
                paces.push(Pace { took: ending.usage.wall, share });
            }
            paces
        });
    }
    let paces = neighbours.join_all().await.into_iter().flatten().collect();
    close(session).await;
    paces
}

/// Runs every hostile guest again and again, all at the same time.
async fn hostile_tasks(cluster: &Cluster, end: Instant) -> Hostile {
    let client = cluster.client().await;
    let session = Arc::new(Runner::new(&client).name("hostile").start().await.expect("the master takes a framework"));
    let mut hostile = Hostile::default();
    let mut guests = JoinSet::new();
    let rows = [
        cpu::all(),
        memory::all(),
        disk::all(),
        output::all(),
        host_calls::all(),
        links::all(),
        modules::all(),
        exceptions::all(),
    ];
    for (name, guest, ends) in rows.into_iter().flatten() {
        hostile.guests += 1;
        let task = task(&client, &guest).await;
        if task.check().is_err() {
            hostile.refused += 1;
            continue;
        }
        hostile.memory += guest.spec.resources.mem.get();
        hostile.disk += guest.spec.resources.disk.get();
        let session = Arc::clone(&session);
        guests.spawn(async move {
            let mut ended = 0;
            while ended == 0 || Instant::now() < end {
                check(name, &guest, &run(&session, &task).await, &ends);
                ended += 1;
            }
            ended
        });
    }
    hostile.ended = guests.join_all().await.into_iter().sum();
    close(session).await;
    hostile
}

/// The same guest for a cluster, with fewer cpus. Some look at what they are told, so they are told nothing.
async fn task(client: &Client, guest: &Guest) -> Task {
    let Guest { module, spec, inputs } = guest;
    let module = client.upload_bytes(module.clone()).await.expect("the master takes any bytes");
    let mut task = Task::new(module)
        .name(&spec.name)
        .anonymous()
        .args(&spec.args)
        .stdin(spec.stdin.clone())
        .cpus(HOSTILE_CPUS)
        .mem(spec.resources.mem)
        .disk(spec.resources.disk)
        .burst(HOSTILE_BURST)
        .output_limit(spec.limits.output);
    for (name, value) in &spec.env {
        task = task.env(name, value);
    }
    if let Some(fuel) = spec.limits.fuel {
        task = task.fuel(fuel);
    }
    if let Some(time) = spec.limits.time {
        task = task.timeout(time);
    }
    if *inputs {
        task = task.input("/data/a.txt", client.upload_bytes("to be read").await.expect("the master takes a file"));
    }
    task
}

/// One task from its submission to its end.
async fn run(session: &Session, task: &Task) -> Ending {
    let handle = session.submit(task.clone()).await.expect("the session is on");
    let status = handle.ended().await.expect("the session is on");
    let TaskStatus { state, reason, message, exit_code, exceeded, usage, .. } = status;
    Ending { state, reason, message, exit_code, exceeded, usage: usage.unwrap_or_default() }
}

async fn close(session: Arc<Session>) {
    Arc::into_inner(session).expect("all who used it have ended").close().await;
}

/// The figures, for who wants to know more than whether it holds.
fn tell(paces: &[Pace], hostile: &Hostile, watched: &Watched) {
    let mut late: Vec<f64> = paces.iter().map(|pace| pace.took.as_secs_f64() / pace.share.as_secs_f64()).collect();
    late.sort_by(f64::total_cmp);
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    let mib = |bytes: u64| bytes >> 20;
    let Hostile { guests, refused, ended, memory, disk } = hostile;
    println!(
        "hostile guests: {guests}, of which {refused} are refused by any master; tasks that ended as they must: {ended}"
    );
    println!(
        "honest tasks: {}; time against their share: median {:.3}, 99 in 100 {:.3}, most {:.3}",
        paces.len(),
        at(50),
        at(99),
        at(100)
    );
    println!(
        "memory of the agent and its executors: {} MiB at rest, {} MiB at most, of {} MiB promised to guests; compilers: {} MiB",
        mib(watched.memory_before),
        mib(watched.memory),
        mib(*memory),
        mib(watched.compilers)
    );
    println!("disk of guests: {} MiB at most, of {} MiB promised", mib(watched.disk), mib(*disk));
    println!("looks at memory and disk: {}", watched.looks);
}
