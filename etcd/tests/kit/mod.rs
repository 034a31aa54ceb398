//! Real etcd members on loopback, for as long as a test lives.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Said when the programs are missing.
pub(crate) const NOT_THERE: &str = "cannot start etcd, which these tests need: `cargo xtask test` installs it on Debian and Ubuntu \
                         (apt-get install etcd-server etcd-client); elsewhere, put etcd and etcdctl 3.4 or later on the \
                         PATH";

/// An etcd cluster. Its members end with it.
pub(crate) struct Etcd {
    members: Vec<Member>,
    folder: TempDir,
}

struct Member {
    /// As `--initial-cluster` and the clients take them.
    peer: String,
    url: String,
    process: Option<Child>,
}

impl Etcd {
    /// Members that speak plain HTTP.
    pub(crate) fn start(members: usize) -> Self {
        Self::start_with(members, "http", &[])
    }

    /// Members with further flags, whose clients come over `scheme`.
    pub(crate) fn start_with(members: usize, scheme: &str, flags: &[&str]) -> Self {
        let mut etcd = Self { members: Vec::new(), folder: TempDir::with_prefix("haggle-etcd-").unwrap() };
        for _ in 0..members {
            let peer = format!("http://127.0.0.1:{}", free_port());
            let url = format!("{scheme}://127.0.0.1:{}", free_port());
            etcd.members.push(Member { peer, url, process: None });
        }
        for member in 0..members {
            etcd.spawn(member, flags);
        }
        for member in 0..members {
            etcd.wait_until_open(member);
        }
        etcd
    }

    /// The URLs of all members.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| member.url.clone()).collect()
    }

    /// Ends a member as a power cut would.
    pub(crate) fn kill(&mut self, member: usize) {
        if let Some(mut process) = self.members[member].process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts a member that was killed, with what is on its disk, and waits until it takes part again.
    pub(crate) fn restart(&mut self, member: usize) {
        self.spawn(member, &[]);
        self.wait_until_open(member);
        let address = self.members[member].url.trim_start_matches("http://");
        let started = Instant::now();
        while !is_healthy(address) {
            assert!(started.elapsed() < PATIENCE, "etcd does not come back");
            thread::sleep(LOOK_EVERY);
        }
    }

    fn spawn(&mut self, member: usize, flags: &[&str]) {
        let all = self.members.iter().enumerate().map(|(at, member)| format!("m{at}={}", member.peer));
        let all = all.collect::<Vec<_>>().join(",");
        let folder = self.folder.path().join(format!("m{member}"));
        let Member { peer, url, process } = &mut self.members[member];
        let mut command = Command::new("etcd");
        command
            .args(["--name", &format!("m{member}"), "--log-level", "warn", "--logger", "zap"])
            .args(["--initial-cluster", &all, "--initial-cluster-state", "new"])
            .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
            .args(["--listen-client-urls", url, "--advertise-client-urls", url])
            .args(flags)
            .arg("--data-dir")
            .arg(&folder);
        let log = File::create(self.folder.path().join(format!("m{member}.log"))).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        *process = Some(child.expect(NOT_THERE));
    }

    fn wait_until_open(&mut self, member: usize) {
        let log = self.folder.path().join(format!("m{member}.log"));
        let Member { url, process, .. } = &mut self.members[member];
        let address = url.split("//").nth(1).unwrap().to_owned();
        let started = Instant::now();
        while TcpStream::connect(&address).is_err() {
            let ended = process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "etcd does not come up: {}", text(&log));
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }
}

/// A port that nobody listens on, below those that systems give to whoever asks for any: so it stays free while a
/// member is down.
pub(crate) fn free_port() -> u16 {
    // Processes begin far from each other, and one does not come to the same port twice.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (process::id() as u16).wrapping_mul(97);
    loop {
        let port = 15_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Whether a member can read with a majority behind it.
fn is_healthy(address: &str) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

fn text(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
