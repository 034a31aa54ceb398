//! TCP, UDP and name lookup by grant.

use std::io::Write;
use std::time::Duration;

use haggle_core::{Bytes, Reason, TaskState};

use super::server::{Server, udp_double};
use super::{granted, launch, run};
use crate::kit::Bench;

/// Longer than a machine that is busy with others takes to close a connection.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_granted_address_is_reached_and_every_byte_counted() {
    let server = Server::echo();
    let text = "x".repeat(30_000);
    let address = server.address.to_string();

    let report = run("dial", &[&format!("net:{address}")], &["tcp", &address, &text]);

    report.assert_finished();
    assert_eq!(report.stdout, text.as_bytes());
    assert_eq!(report.ending.usage.net, Bytes::new(60_000));
}

#[test]
fn localhost_is_looked_up_and_reached_where_it_is_granted() {
    let server = Server::echo();
    let localhost = format!("localhost:{}", server.port());

    let report = run("dial", &[&format!("net:{localhost}")], &["tcp", &localhost, "hello"]);

    report.assert_finished();
    assert_eq!(report.text(), "hello");
}

#[test]
fn what_is_not_granted_is_refused_inside_the_guest() {
    let server = Server::echo();
    let other = Server::echo();
    let (port, grant) = (server.port(), format!("net:{}", server.address));
    for (target, says) in [
        (other.address.to_string(), "connect: access-denied"),
        (format!("127.0.0.2:{port}"), "connect: access-denied"),
        (format!("0.0.0.0:{port}"), "connect: invalid-argument"),
        (format!("[::1]:{port}"), "connect: access-denied"),
        (format!("[::ffff:127.0.0.1]:{port}"), "connect: invalid-argument"),
        (format!("localhost:{port}"), "lookup: access-denied"),
        (format!("127.1:{port}"), "lookup: access-denied"),
    ] {
        run("dial", &[&grant], &["tcp", &target, "x"]).assert_says(says);
    }
    run("dial", &[&grant], &["udp", &other.address.to_string(), "x"]).assert_says("send: access-denied");
    assert_eq!((server.asked(), other.asked()), (0, 0));
}

/// `127.1` is a name to whoever grants it, and loopback to whoever resolves it.
#[test]
fn a_granted_name_that_leads_to_loopback_leads_nowhere() {
    let server = Server::echo();
    let target = format!("127.1:{}", server.port());

    run("dial", &[&format!("net:{target}")], &["tcp", &target, "x"]).assert_says("lookup: access-denied");
    run("dial", &["net:0xa9fea9fe:80"], &["lookup", "0xa9fea9fe"]).assert_says("lookup: access-denied");

    assert_eq!(server.asked(), 0);
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    run("dial", &["net:no..such:80"], &["lookup", "no..such"]).assert_says("lookup: name-unresolvable");
}

#[test]
fn datagrams_go_where_they_are_granted_and_are_counted() {
    let address = udp_double().to_string();

    let report = run("dial", &[&format!("net:{address}")], &["udp", &address, "ping"]);

    report.assert_finished();
    assert_eq!(report.text(), "pingping");
    assert_eq!(report.ending.usage.net, Bytes::new(12));
}

#[test]
fn nobody_listens() {
    run("dial", &["net:127.0.0.1:80"], &["listen"]).assert_says("listen: access-denied");
}

#[test]
fn connections_are_bounded_in_number_and_paid_from_memory() {
    let (server, _) = Server::silent();
    let address = server.address.to_string();
    let bench = Bench::new();
    let mut spec = granted(&[&format!("net:{address}")], &["many", &address, "100"]);

    let id = launch(&bench, "dial", spec.clone());
    let roomy = bench.report(id);
    spec.resources.mem = Bytes::from_mib(4);
    let id = launch(&bench, "dial", spec);
    let tight = bench.report(id);

    roomy.assert_finished();
    assert_eq!(roomy.text(), "32 connections, then socket: new-socket-limit\n");
    assert!(roomy.ending.usage.peak_mem >= Bytes::from_mib(16), "{}", roomy.ending.usage.peak_mem);
    tight.assert_finished();
    let given: usize = tight.text().split(' ').next().unwrap().parse().unwrap();
    assert!((1..8).contains(&given), "{}", tight.text());
    assert!(tight.ending.usage.peak_mem <= Bytes::from_mib(4));
}

#[test]
fn a_task_that_waits_for_the_network_ends_at_its_time_limit_and_closes_its_connections() {
    let (server, said) = Server::silent();
    let address = server.address.to_string();
    let bench = Bench::new();
    let mut spec = granted(&[&format!("net:{address}")], &["tcp", &address]);
    spec.limits.time = Some(Duration::from_millis(300));

    let id = launch(&bench, "dial", spec);
    let report = bench.report(id);

    report.assert_limited(Reason::TimeLimit, 300);
    assert_eq!(said.recv_timeout(PATIENCE), Ok("connected"));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("closed"));
}

#[test]
fn a_task_that_waits_for_the_network_is_killed_at_once() {
    let (server, said) = Server::silent();
    let address = server.address.to_string();
    let bench = Bench::new();

    let id = launch(&bench, "dial", granted(&[&format!("net:{address}")], &["tcp", &address]));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("connected"));
    bench.executor.kill(id);

    assert_eq!(bench.report(id).verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("closed"));
}

#[test]
fn a_flood_ends_at_the_output_limit_and_not_in_memory() {
    let server = Server::tcp(|mut stream| while stream.write_all(&[b'x'; 64 << 10]).is_ok() {});
    let address = server.address.to_string();

    let report = run("dial", &[&format!("net:{address}")], &["tcp", &address]);

    report.assert_limited(Reason::OutputLimit, 1 << 20);
    assert!(report.ending.usage.net <= Bytes::from_mib(2), "{}", report.ending.usage.net);
}
