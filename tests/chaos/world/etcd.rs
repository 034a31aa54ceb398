//! Three etcds on loopback.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use haggle_kit::{Daemon, until};

use super::free_port;

/// How many there are in a cluster of several masters: the fewest of which one may die.
const MEMBERS: usize = 3;

struct Member {
    peer: String,
    client: String,
    process: Option<Daemon>,
}

/// A cluster of etcds, gone with its value.
pub(crate) struct Etcds {
    members: Vec<Member>,
    dir: PathBuf,
}

impl Etcds {
    pub(crate) async fn start(dir: &Path) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        let members = (0..MEMBERS).map(|_| Member { peer: address(), client: address(), process: None }).collect();
        let mut etcds = Self { members, dir: dir.to_owned() };
        (0..MEMBERS).for_each(|member| etcds.spawn(member));
        for member in 0..MEMBERS {
            etcds.open(member).await;
        }
        etcds
    }

    /// As `--etcd` takes it.
    pub(crate) fn urls(&self) -> String {
        self.members.iter().map(|member| format!("http://{}", member.client)).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].process = None;
    }

    /// Starts one that was killed, with what is on its disk, and waits until it takes connections.
    pub(crate) async fn restart(&mut self, member: usize) {
        self.spawn(member);
        self.open(member).await;
    }

    async fn open(&self, member: usize) {
        let address = &self.members[member].client;
        until("etcd takes connections", async || TcpStream::connect(address).ok()).await;
    }

    fn spawn(&mut self, index: usize) {
        let all: Vec<_> =
            self.members.iter().enumerate().map(|(index, member)| format!("m{index}=http://{}", member.peer)).collect();
        let folder = self.dir.join(format!("etcd{index}"));
        let log = self.dir.join(format!("etcd{index}.log"));
        let member = &mut self.members[index];
        let (peer, client) = (format!("http://{}", member.peer), format!("http://{}", member.client));
        let name = format!("m{index}");
        let folder = folder.display().to_string();
        let args = [
            ["--name", &name],
            ["--data-dir", &folder],
            ["--initial-cluster", &all.join(",")],
            ["--initial-cluster-state", "new"],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--listen-client-urls", &client],
            ["--advertise-client-urls", &client],
            ["--logger", "zap"],
            ["--log-level", "warn"],
        ];
        let args: Vec<String> = args.concat().into_iter().map(str::to_owned).collect();
        // By name: Debian's `etcd-server` puts it on the path, and `.ci/run` installs that.
        member.process = Some(Daemon::spawn(Path::new("etcd"), &args, log));
    }
}
