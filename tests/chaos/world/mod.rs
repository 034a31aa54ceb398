//! A cluster of real processes on loopback: etcds, masters, agents and recorders, each of which can be killed, stopped
//! and started again.

mod etcd;
mod leader;
mod proc;
mod proxy;
mod recorder;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haggle_kit::{Daemon, Home, binary, guests, until};
use haggle_sdk::{Client, Digest};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

pub(crate) use etcd::Etcds;
pub(crate) use leader::Masters;
pub(crate) use proc::Held;
pub(crate) use proxy::{Proxy, Way};
pub(crate) use recorder::{Load, Recorder};

/// What a world consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Several share an etcd; one has its registry on its disk.
    pub(crate) masters: usize,
    pub(crate) agents: usize,
    /// Whether agents reach their master by a proxy of their own.
    pub(crate) proxies: bool,
    /// How long an agent may be silent.
    pub(crate) agent_timeout: Duration,
}

impl Plan {
    /// As the long form has it, with the product's defaults.
    pub(crate) const FULL: Self =
        Self { masters: 3, agents: 8, proxies: false, agent_timeout: Duration::from_secs(10) };
    /// The fewest that show the same.
    pub(crate) const SMALL: Self = Self { agents: 3, ..Self::FULL };
}

pub(crate) struct Agent {
    pub(crate) process: Daemon,
    pub(crate) proxy: Option<Proxy>,
}

/// A running cluster. Its processes end with it.
pub(crate) struct World {
    pub(crate) etcds: Option<Etcds>,
    pub(crate) masters: Vec<Daemon>,
    pub(crate) agents: Vec<Agent>,
    /// Who leads.
    pub(crate) reign: Arc<Masters>,
    pub(crate) noop: Digest,
    pub(crate) sleeper: Digest,
    plan: Plan,
    ports: Vec<u16>,
    dir: TempDir,
}

impl World {
    /// Starts everything and waits until all agents are registered.
    pub(crate) async fn start(plan: Plan) -> Self {
        let dir = TempDir::with_prefix("haggle-chaos-").expect("a temporary folder can be made");
        let etcds = if plan.masters > 1 { Some(Etcds::start(dir.path()).await) } else { None };
        let ports: Vec<u16> = (0..plan.masters).map(|_| free_port()).collect();
        let home = Home::below(dir.path());
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let reign = Masters::watch(urls, home.owner_tokens());
        let nothing = Digest([0; 32]);
        let mut world = Self {
            etcds,
            masters: Vec::new(),
            agents: Vec::new(),
            reign,
            noop: nothing,
            sleeper: nothing,
            plan,
            ports,
            dir,
        };
        world.masters = (0..plan.masters).map(|index| world.spawn_master(index)).collect();
        world.reign.leads().await;
        for index in 0..plan.agents {
            let proxy = if plan.proxies {
                Some(Proxy::start(Arc::clone(&world.reign), home.owner_tokens()).await)
            } else {
                None
            };
            let process = world.spawn_agent(index, proxy.as_ref());
            world.agents.push(Agent { process, proxy });
        }
        world.connected(plan.agents).await;
        world.noop = world.upload("noop", guests::NOOP).await;
        world.sleeper = world.upload("sleeper", guests::SLEEPER).await;
        world
    }

    /// All masters, as `--master` takes them.
    pub(crate) fn url(&self) -> String {
        self.ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        until("a master answers", async || self.home().connect(&self.url()).await.ok()).await
    }

    /// The home of the user that all of it belongs to.
    pub(crate) fn home(&self) -> Home {
        Home::below(self.dir.path())
    }

    /// Waits until this many agents are connected.
    pub(crate) async fn connected(&self, agents: usize) {
        let client = self.client().await;
        until("the agents are connected", async || {
            let connected = client.agents().await.ok()?.into_iter().filter(|agent| agent.connected).count();
            (connected == agents).then_some(())
        })
        .await;
    }

    /// Starts a master that was killed again, on its old port and folder.
    pub(crate) fn restart_master(&mut self, index: usize) {
        self.masters[index].kill();
        self.masters[index] = self.spawn_master(index);
    }

    /// Starts an agent that was killed again, in its old folder.
    pub(crate) fn restart_agent(&mut self, index: usize) {
        self.agents[index].process.kill();
        self.agents[index].process = self.spawn_agent(index, self.agents[index].proxy.as_ref());
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Every log of an agent.
    pub(crate) fn agent_logs(&self) -> Vec<PathBuf> {
        (0..self.plan.agents).map(|index| self.log("agent", index)).collect()
    }

    /// The log of a master.
    pub(crate) fn master_log(&self, index: usize) -> PathBuf {
        self.log("master", index)
    }

    /// Masters and agents that ended by themselves: whoever was killed is back by now.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        let agents = self.agents.iter_mut().map(|agent| &mut agent.process);
        let ended =
            self.masters.iter_mut().chain(agents).filter_map(|daemon| (!daemon.is_running()).then(|| daemon.log()));
        ended.map(|log| format!("ended by itself: {}", log.lines().last().unwrap_or("without a word"))).collect()
    }

    /// Keeps the folder with the logs and the records, and says where it is.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    fn log(&self, kind: &str, index: usize) -> PathBuf {
        self.dir.path().join(format!("{kind}{index}.log"))
    }

    fn spawn_master(&self, index: usize) -> Daemon {
        let mut args: Vec<String> = ["master", "--log-format", "json", "--log-level", "info"].map(str::to_owned).into();
        let mut flag = |name: &str, value: String| args.extend([name.to_owned(), value]);
        flag("--listen", format!("127.0.0.1:{}", self.ports[index]));
        flag("--state", self.dir.path().join(format!("state{index}")).display().to_string());
        flag("--agent-timeout", format!("{}ms", self.plan.agent_timeout.as_millis()));
        if let Some(etcds) = &self.etcds {
            flag("--etcd", etcds.urls());
        }
        Daemon::spawn(&binary("haggle"), &args, self.log("master", index))
    }

    fn spawn_agent(&self, index: usize, proxy: Option<&Proxy>) -> Daemon {
        // Twice the same: an agent with several masters to try makes shorter pauses than one with a single master.
        let master = proxy.map_or_else(|| self.url(), |proxy| [proxy.url(), proxy.url()].join(","));
        let work_dir = self.dir.path().join(format!("agent{index}"));
        let args = [
            ["--log-format", "json"],
            ["--log-level", "info,haggle_agent::tasks=debug"],
            ["--master", &master],
            ["--name", &format!("agent{index}")],
            // More than there is: the tasks do nothing, and the load is to be the cluster's.
            ["--cpus", "2"],
            ["--mem", "1GiB"],
            ["--work-dir", &work_dir.display().to_string()],
        ];
        let args: Vec<String> = ["agent"].into_iter().chain(args.into_iter().flatten()).map(str::to_owned).collect();
        Daemon::spawn(&binary("haggle"), &args, self.log("agent", index))
    }

    async fn upload(&self, name: &str, text: &str) -> Digest {
        let path = self.dir.path().join(format!("{name}.wasm"));
        std::fs::write(&path, guests::compile(text)).expect("a module can be written");
        let client = self.client().await;
        until("the module is stored", async || client.upload(&path).await.ok()).await
    }
}

/// Sends a process this signal.
///
/// # Panics
/// When it has ended.
pub(crate) fn signal(process: &Daemon, signal: Signal) {
    let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process runs");
}

/// The time that a fault lasts, or the load.
pub(crate) async fn lasting(duration: Duration) {
    sleep(duration).await;
}

/// A port that nobody listens on, below those that systems give to whoever asks for any: so it stays free while its
/// process is down.
pub(crate) fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Processes begin far from each other, and one does not come to the same port twice.
        let begin = (std::process::id() as u16).wrapping_mul(97);
        let port = 15_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
