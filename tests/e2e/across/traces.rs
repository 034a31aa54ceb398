//! What a collector is told of a task that outlives the master which launched it.

use haggle_kit::{Collector, Machine, PATIENCE, until, wasm};
use haggle_sdk::{Client, TaskState};
use haggle_tls::Token;

use super::several::{OneOfSeveral, one_of};
use crate::etcd::Etcd;
use crate::traces::{CALLER, CALLERS_TRACE, session, task};

#[tokio::test]
async fn a_trace_goes_on_when_another_master_leads() {
    let (etcd, collector) = (Etcd::start(1), Collector::start());
    let traced = ["--otlp", &collector.url()];
    let mut first = one_of(&etcd, "127.0.0.2", &traced).await;
    let seal = first.seal();
    let second = one_of(&etcd, "127.0.0.3", &[&["--ca-key-file", &seal], &traced[..]].concat()).await;
    let machine = Machine::new();
    let join = first.token(&["--kind", "agent"]);
    let _agent = machine.agent("a", &[&["--join", &machine.keep(&join)], &traced[..]].concat());
    first.has_agents(1).await;
    let token: Token = first.token(&["--kind", "operator", "--name", "me"]).parse().unwrap();
    let client = Client::builder().token(token).patience(PATIENCE).connect().await.unwrap();
    let session = session(&client).await;
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let handle = session.submit(task(spinner).env("TRACEPARENT", CALLER)).await.unwrap();
    // What it has not told yet is lost with the first master.
    let accepted = until("the first has told of the task's way, and its agent of its start", async || {
        let spans = collector.spans();
        spans.iter().any(|span| span.name == "start").then_some(())?;
        spans.into_iter().find(|span| span.name == "accept")
    })
    .await;

    first.daemon.kill();
    until("the second leads", async || second.leads().then_some(())).await;
    second.has_agents(1).await;
    handle.kill().await.unwrap();
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);

    let root =
        until("the task has ended", async || collector.spans().into_iter().find(|span| span.name == "task")).await;
    assert_eq!((root.trace.as_str(), root.parent.as_str()), (CALLERS_TRACE, "00f067aa0ba902b7"));
    assert_eq!((accepted.service.as_str(), root.service.as_str()), ("haggle-master", "haggle-master"));
    assert_ne!(
        accepted.resource["service.instance.id"], root.resource["service.instance.id"],
        "two masters told of it"
    );
    assert!(accepted.parent == root.id && root.start <= accepted.start && accepted.end <= root.end);
    let run = collector.part(&root, "run").await;
    let end = collector.part(&root, "end").await;
    assert!(accepted.end <= run.start && run.end == end.start && run.error.is_none(), "{run:?} {end:?}");
    assert!(collector.spans().iter().all(|span| span.trace == CALLERS_TRACE));
    for name in ["task", "queue", "offer", "accept", "send", "start", "run", "end"] {
        assert_eq!(collector.spans().iter().filter(|span| span.name == name).count(), 1, "{name}");
    }
    session.close().await;
}
