//! What a process can still do that has locked itself down: tried in one, for there is no way back.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use haggle_executor::process::Lockdown;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Set for the process that tries; says where, and whether it is left the network.
const PROBE: &str = "HAGGLE_LOCKDOWN_PROBE";

/// Everything that is tried, and what came of it: one line each.
fn try_everything(dir: &Path, network: bool) -> Vec<String> {
    let port = fs::read_to_string(dir.join("readable/port")).unwrap().parse().unwrap();
    let outcome = |what: &str, done: Result<(), std::io::Error>| match done {
        Ok(()) => format!("{what}: done"),
        Err(error) => format!("{what}: {:?}", error.kind()),
    };
    let lockdown =
        Lockdown { read: vec![dir.join("readable")], write: vec![dir.join("writable")], network, memory: None };
    let kept = lockdown.apply();
    assert!(kept.is_empty(), "{kept:?}");
    vec![
        outcome("read what it may read", fs::read(dir.join("readable/port")).map(drop)),
        outcome("write where it may write", fs::write(dir.join("writable/file"), "x")),
        outcome("remove there", fs::remove_file(dir.join("writable/file"))),
        outcome("start a thread", thread::Builder::new().spawn(|| ()).map(|thread| thread.join().unwrap())),
        outcome("write where it may read", fs::write(dir.join("readable/port"), "x")),
        outcome("read elsewhere", fs::read("/etc/passwd").map(drop)),
        outcome("look elsewhere", fs::read_dir("/").map(drop)),
        outcome("read another's environment", fs::read(format!("/proc/{}/environ", parent())).map(drop)),
        outcome("start a program", Command::new("/bin/true").status().map(drop)),
        outcome("connect", TcpStream::connect(("127.0.0.1", port)).map(drop)),
        outcome("connect to a local socket", UnixStream::connect(dir.join("readable/socket")).map(drop)),
        outcome("signal another", rustix::process::test_kill_process(parent_id()).map_err(Into::into)),
        outcome("make a namespace", unshare()),
        outcome("own a file of another's", std::os::unix::fs::chown(dir.join("writable"), Some(1), None)),
        outcome("leave a core dump", raise(Resource::Core)),
        outcome("lock memory", raise(Resource::Memlock)),
        outcome("go before others", raise(Resource::Nice)),
    ]
}

/// Asks for a little of something.
fn raise(resource: Resource) -> Result<(), std::io::Error> {
    setrlimit(resource, Rlimit { current: Some(1), maximum: Some(1) }).map_err(Into::into)
}

fn parent_id() -> rustix::process::Pid {
    rustix::process::getppid().unwrap()
}

fn parent() -> i32 {
    parent_id().as_raw_nonzero().get()
}

#[expect(unsafe_code, reason = "the safe form of this call is deprecated for what it does with descriptors")]
fn unshare() -> Result<(), std::io::Error> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: it leaves the descriptors of this thread shared with those of the others.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(Into::into)
}

/// The process that tries. Does nothing unless it is one.
#[test]
#[ignore = "locks its process down; run by the other tests here"]
fn probe() {
    let Some(order) = std::env::var_os(PROBE) else { return };
    let order = order.into_string().unwrap();
    let (network, dir) = order.split_once(' ').unwrap();
    for line in try_everything(Path::new(dir), network == "network") {
        println!("probe: {line}");
    }
}

/// What a locked down process came to.
fn probed(network: bool) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| -> PathBuf { dir.path().join(name) };
    fs::create_dir(folder("readable")).unwrap();
    fs::create_dir(folder("writable")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::write(folder("readable/port"), listener.local_addr().unwrap().port().to_string()).unwrap();
    let _local = UnixListener::bind(folder("readable/socket")).unwrap();

    let word = if network { "network" } else { "nothing" };
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "probe", "--ignored", "--nocapture"])
        .env(PROBE, format!("{word} {}", dir.path().display()))
        .output()
        .unwrap();

    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    said.lines().filter_map(|line| line.split_once("probe: ")).map(|(_, tried)| tried.to_owned()).collect()
}

fn refused() -> String {
    format!("{:?}", ErrorKind::PermissionDenied)
}

#[test]
fn a_process_keeps_its_folders_and_its_threads_and_nothing_else() {
    let tried = probed(false);

    let (allowed, others) = tried.split_at(4);
    assert!(allowed.iter().all(|line| line.ends_with(": done")), "{tried:#?}");
    assert!(others.iter().all(|line| line.ends_with(&refused())), "{tried:#?}");
    assert_eq!(others.len(), 13);
}

#[test]
fn a_process_that_is_left_the_network_can_connect_and_still_do_nothing_else() {
    let tried = probed(true);

    let may = |line: &String| line.ends_with(": done");
    let connects = tried.iter().filter(|line| may(line)).nth(4);
    assert_eq!(connects.map(String::as_str), Some("connect: done"), "{tried:#?}");
    assert_eq!(tried.iter().filter(|line| may(line)).count(), 5, "{tried:#?}");
}
