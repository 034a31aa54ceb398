//! What is reserved for roles: by the flags of agents, by operators and by frameworks.

use std::time::Duration;

use haggle_kit::{AgentFlags, Cluster, until};
use haggle_sdk::{
    Bytes, Client, Event, Events, Framework, FrameworkInfo, MilliCpu, Offer, Operation, Resources, TaskSpec,
};
use serde_json::{Value, json};

use crate::run::text;
use crate::said::{lines, said};

fn one_core() -> Resources {
    Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(256), Bytes::ZERO)
}

async fn in_role(client: &Client, role: &str) -> (Framework, Events) {
    let info = FrameworkInfo {
        name: format!("of {role}"),
        roles: vec![role.to_owned()],
        failover_timeout: Duration::from_secs(60),
    };
    Framework::connect(client, info).await.unwrap()
}

async fn offer(events: &mut Events) -> Offer {
    loop {
        if let Event::Offers(mut offers) = events.next().await.expect("the session lasts") {
            return offers.remove(0);
        }
    }
}

async fn reserved_of(cluster: &Cluster, name: &str) -> Value {
    let roles = lines(&cluster.haggle(&["roles", "--json"]).await);
    roles.into_iter().find(|role| role["name"] == name).map_or(Value::Null, |role| role["reserved"]["cpus"].clone())
}

#[tokio::test]
async fn what_an_agent_keeps_by_its_flags_is_its_roles_alone() {
    let more = &["--reserve", "eng/batch:cpus=1.5,mem=512MiB"];
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_with(&AgentFlags { cpus: "2", mem: "1GiB" }, more);
    cluster.registered(1).await;
    let client = cluster.client().await;
    let (_web, mut web_hears) = in_role(&client, "web").await;
    assert_eq!(offer(&mut web_hears).await.resources.cpus, MilliCpu::new(500));
    assert_eq!(reserved_of(&cluster, "eng").await, json!(1.5));

    let (_eng, mut eng_hears) = in_role(&client, "eng/batch/night").await;

    let its = offer(&mut eng_hears).await;
    assert_eq!((its.resources.cpus, its.reserved[0].reservation.role()), (MilliCpu::new(1_500), "eng/batch"));
    let refused = cluster.haggle(&["unreserve", "agent-1", "eng/batch", "cpus=1"]).await;
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("of what can be had on agent-1"), "{}", text(&refused.stderr));
    let agent = lines(&cluster.haggle(&["agents", "--json"]).await).remove(0);
    let part = &agent["reserved"][0];
    assert_eq!(
        (&part["role"], &part["fixed"], &part["offered"]["cpus"]),
        (&json!("eng/batch"), &json!(true), &json!(1.5))
    );
}

#[tokio::test]
async fn an_operator_reserves_for_a_role_and_that_survives_the_master() {
    let mut cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    let told = said(&cluster, &["reserve", "agent-1", "eng", "cpus=1.5,mem=512MiB"]).await;
    assert_eq!(told, "cpus=1.5,mem=512MiB of agent-1 is reserved for eng\n");
    said(&cluster, &["reserve", "agent-1", "eng/batch", "cpus=0.5", "--within", "eng"]).await;
    let (web, mut hears) = in_role(&client, "web").await;
    assert_eq!(offer(&mut hears).await.resources.cpus, MilliCpu::new(500));
    let resources = Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(64), Bytes::ZERO);
    let want =
        haggle_sdk::Want { resources, constraints: Vec::new(), volumes: Vec::new(), waiting: 1, spare: 0, gang: 0 };
    web.demand([want]).await.unwrap();
    let why = until("web waits", async || {
        lines(&cluster.haggle(&["why", "web", "--json"]).await).pop().filter(|why| why["hindrances"][0].is_object())
    });
    assert_eq!(why.await["hindrances"][0]["obstacle"], "reserved_for_others");

    cluster.restart_master().await;
    cluster.registered(1).await;

    assert_eq!(
        (reserved_of(&cluster, "eng").await, reserved_of(&cluster, "eng/batch").await),
        (json!(1.5), json!(0.5))
    );
    said(&cluster, &["unreserve", "agent-1", "eng/batch", "cpus=0.5"]).await;
    assert_eq!(
        (reserved_of(&cluster, "eng").await, reserved_of(&cluster, "eng/batch").await),
        (json!(1.5), Value::Null)
    );
    let told = lines(&cluster.haggle(&["unreserve", "agent-1", "eng", "cpus=1.5,mem=512MiB", "--json"]).await);
    assert_eq!((&told[0]["agent"], &told[0]["role"]), (&json!("agent-1"), &json!("eng")));
    let (_next, mut hears) = in_role(&cluster.client().await, "web").await;
    assert_eq!(offer(&mut hears).await.resources.cpus, MilliCpu::from_cores(2), "all of it is free again");
}

/// `Reservation.ReserveThenUnreserve` and `DropReserveTooLarge` of Mesos.
#[tokio::test]
async fn a_framework_reserves_what_it_is_offered_and_gives_it_back() {
    let cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    let (framework, mut hears) = in_role(&client, "eng").await;
    let nothing = || Vec::<TaskSpec>::new();
    let first = offer(&mut hears).await;
    let reserve = |resources| Operation::Reserve { role: "eng".to_owned(), within: None, resources };
    let too_much = reserve(Resources::new(MilliCpu::from_cores(9), Bytes::ZERO, Bytes::ZERO));

    framework.accept_with([first.id], [too_much, reserve(one_core())], nothing(), Duration::ZERO).await.unwrap();

    let dropped = loop {
        if let Event::OperationDropped { why, .. } = hears.next().await.expect("the session lasts") {
            break why;
        }
    };
    assert!(dropped.contains("9.000 cpu"), "{dropped}");
    let second = offer(&mut hears).await;
    assert_eq!((&second.reserved[0].resources, second.resources.cpus), (&one_core(), MilliCpu::from_cores(2)));
    let unreserve = Operation::Unreserve { role: "eng".to_owned(), resources: one_core() };
    framework.accept_with([second.id], [unreserve], nothing(), Duration::ZERO).await.unwrap();
    assert_eq!(offer(&mut hears).await.reserved, []);
}
