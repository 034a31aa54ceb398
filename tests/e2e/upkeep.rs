//! Agents that an operator takes out of use, and maintenance: asked by the command, carried out by the cluster.

use std::time::Duration;

use haggle_core::{Reason, TaskState};
use haggle_kit::{AgentFlags, Cluster, until, wasm};
use haggle_sdk::{Event, Framework, FrameworkInfo, Runner, Task};
use serde_json::Value;

use crate::run::text;
use crate::said::{lines, refused, said};

/// `DEACTIVATED`, `DRAINING`, `DRAINED`, or nothing.
async fn withdrawn(cluster: &Cluster, agent: &str) -> Option<String> {
    let agents = lines(&cluster.haggle(&["agents", "--json"]).await);
    let agent = agents.into_iter().find(|line| line["id"] == agent)?;
    agent["withdrawn"]["state"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_drained_agent_has_ended_its_tasks_and_takes_none_until_it_is_brought_back() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("drained").start().await.unwrap();
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let handle = session.submit(Task::new(spinner).cpus("0.5").mem("32MiB")).await.unwrap();
    until("the task runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        tasks.iter().any(|task| task.status.state == TaskState::Running).then_some(())
    })
    .await;

    let told = lines(&cluster.haggle(&["drain", "agent-1", "--grace", "200ms", "--wait", "--json"]).await);

    let status = handle.ended().await.unwrap();
    assert_eq!((status.state, status.reason), (TaskState::Killed, Some(Reason::AgentDraining)), "{}", status.message);
    assert_eq!(told.first().map(|line| &line["state"]), Some(&Value::from("DRAINING")), "{told:?}");
    assert_eq!(told.last().map(|line| &line["state"]), Some(&Value::from("DRAINED")), "{told:?}");

    // It is drained for the next master as well, and for whoever asks why.
    cluster.restart_master().await;
    cluster.registered(1).await;
    assert_eq!(withdrawn(&cluster, "agent-1").await.as_deref(), Some("DRAINED"));
    let table = said(&cluster, &["agents"]).await;
    assert!(table.contains("DRAINED for "), "{table}");
    let waits = session.submit(Task::new(spinner).cpus("0.5").mem("32MiB")).await.unwrap();
    let framework = session.framework().to_string();
    until("the reason is told", async || {
        let why = cluster.haggle(&["why", &framework]).await;
        text(&why.stdout).contains("1 agent would do, and is drained").then_some(())
    })
    .await;

    assert_eq!(said(&cluster, &["undrain", "agent-1"]).await, "agent-1 takes tasks again\n");
    let client = cluster.client().await;
    until("the task runs there again", async || {
        let tasks = client.tasks(false).await.ok()?;
        tasks.iter().any(|task| task.status.state == TaskState::Running).then_some(())
    })
    .await;
    waits.kill().await.unwrap();
    session.close().await;
}

#[tokio::test]
async fn an_agent_that_is_drained_for_good_is_gone_and_its_process_ends() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;

    let told = said(&cluster, &["drain", "agent-1", "--mark-gone", "--wait"]).await;

    assert!(told.ends_with("agent-1 is not there any more, and nothing runs there\n"), "{told}");
    let exit = cluster.agents[0].exited().await;
    assert!(!exit.success());
    let log = cluster.agents[0].log();
    assert!(log.contains("agent-1 was drained and marked gone by an operator"), "{log}");
}

#[tokio::test]
async fn an_agent_is_drained_for_its_maintenance_window_and_comes_back_after_it() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;

    let made = said(&cluster, &["maintenance", "schedule", "agent-1", "--start", "now", "--for", "3s"]).await;
    assert!(made.starts_with("maintenance-1: agent-1 will not be there from "), "{made}");
    assert_eq!(withdrawn(&cluster, "agent-1").await.as_deref(), Some("DRAINED"));
    let why = refused(&cluster, &["undrain", "agent-1"]).await;
    assert!(why.contains("agent-1 is in the window maintenance-1"), "{why}");

    until("the agent takes tasks again", async || {
        let agents = client.agents().await.ok()?;
        agents.iter().all(|agent| agent.withdrawal.is_none()).then_some(())
    })
    .await;
    assert_eq!(lines(&cluster.haggle(&["maintenance", "ls", "--json"]).await), [] as [Value; 0]);
}

#[tokio::test]
async fn whoever_holds_an_agent_is_asked_to_be_off_it_before_its_maintenance() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let module = client.upload(wasm("sleeper")).await.unwrap();
    let failover_timeout = Duration::from_secs(60);
    let info = FrameworkInfo { name: "holder".to_owned(), roles: vec!["default".to_owned()], failover_timeout };
    let (framework, mut events) = Framework::connect(&client, info).await.unwrap();
    let mut schedule = Some(["maintenance", "schedule", "agent-1", "--start", "1h", "--for", "30m", "--json"]);
    let mut launched = false;

    let asked = loop {
        match events.next().await.expect("the session lasts") {
            Event::Offers(offers) if !launched => {
                launched = true;
                assert_eq!(offers[0].unavailability, None);
                let task = Task::new(module).cpus("0.5").mem("16MiB").arg("3600");
                let id = haggle_sdk::TaskId { framework: framework.id(), number: 1 };
                framework.accept([offers[0].id], [task.spec(id)], Duration::from_secs(3600)).await.unwrap();
            }
            Event::Update(status) => {
                framework.acknowledge([&status]).await.unwrap();
                if status.state == TaskState::Running
                    && let Some(schedule) = schedule.take()
                {
                    let made = lines(&cluster.haggle(&schedule).await);
                    assert_eq!((&made[0]["id"], &made[0]["under_way"]), (&"maintenance-1".into(), &false.into()));
                }
            }
            Event::InverseOffers(offers) => break offers,
            _ => {}
        }
    };
    framework.accept_inverse(asked.iter().map(|offer| offer.id)).await.unwrap();

    assert_eq!(
        (asked.len(), asked[0].agent.to_string().as_str(), asked[0].when.duration_ms),
        (1, "agent-1", 1_800_000)
    );
    until("the answer is known", async || {
        let windows = lines(&cluster.haggle(&["maintenance", "ls", "--json"]).await);
        (windows[0]["accepted"] == 1 && windows[0]["unanswered"] == 0).then_some(())
    })
    .await;
    // What is offered from now on says when the agent will not be there.
    framework.revive().await.unwrap();
    let offer = loop {
        if let Event::Offers(mut offers) = events.next().await.expect("the session lasts") {
            break offers.remove(0);
        }
    };
    assert_eq!(offer.unavailability, Some(asked[0].when));
    let cancelled = said(&cluster, &["maintenance", "cancel", "maintenance-1"]).await;
    assert_eq!(cancelled, "maintenance-1 is cancelled: its agents take tasks\n");
    framework.teardown(events).await.unwrap();
}

#[tokio::test]
async fn nonsense_is_refused_with_the_reason() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let window = ["maintenance", "schedule", "agent-1", "--start", "1h", "--for", "1h"];
    said(&cluster, &window).await;

    for (args, why) in [
        (&["drain", "agent-9"][..], "the master knows no agent-9"),
        (&["drain", "agent-1", "--grace", "8days"], "is too long: tasks are given at most"),
        (&["undrain", "agent-1"], "agent-1 takes tasks already"),
        (&window, "agent-1 is in the window maintenance-1 for some of that time"),
        (
            &["maintenance", "schedule", "agent-1", "--start", "2020-01-01T00:00:00Z", "--for", "1h"],
            "a maintenance window cannot begin in the past",
        ),
        (&["maintenance", "cancel", "maintenance-7"], "the master knows no maintenance-7"),
    ] {
        let said = refused(&cluster, args).await;
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let deactivated = said(&cluster, &["agents", "deactivate", "agent-1"]).await;
    assert_eq!(deactivated, "agent-1 is DEACTIVATED: it takes no new tasks\n");
    let again = refused(&cluster, &["agents", "deactivate", "agent-1"]).await;
    assert!(again.contains("agent-1 takes no tasks already: it is DEACTIVATED"), "{again}");
}
