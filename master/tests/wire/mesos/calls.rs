//! What a framework does from its first call to its last.

use haggle_proto::v1::TaskState;
use serde_json::json;

use super::kit::{Scheduler, authorization, master, task};
use crate::access::{create, wanted};
use crate::peers::Agent;

#[tokio::test]
async fn a_task_is_launched_told_of_acknowledged_and_killed() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;

    let accepted = scheduler.launch(&offer, &[task("t-1", &offer)]).await;

    assert_eq!((accepted.code, accepted.body.as_str()), (202, ""));
    let spec = agent.launched().await;
    assert_eq!((spec.name.as_str(), &spec.args[..], spec.module[0]), ("t-1", &["a".to_owned()][..], 0xab));
    assert_eq!((spec.env[0].name.as_str(), spec.role.as_str()), ("A", "default"));
    agent.update(&spec, 1, TaskState::Running).await;
    let running = scheduler.update().await;
    assert_eq!((&running["state"], &running["task_id"]["value"]), (&json!("TASK_RUNNING"), &json!("t-1")));
    assert_eq!((&running["agent_id"], &running["executor_id"]["value"]), (&offer["agent_id"], &json!("t-1")));

    assert_eq!(scheduler.acknowledge(&running).await.code, 202);
    assert_eq!(agent.acknowledged().await.update, 1);
    assert_eq!(scheduler.call("KILL", "kill", json!({"task_id": {"value": "t-1"}})).await.code, 202);
    assert_eq!(agent.killed().await.number, spec.id.unwrap().number);
}

#[tokio::test]
async fn what_is_reserved_in_an_accept_is_offered_so_and_unreserved_by_what_the_offer_says() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({"role": "eng"})).await;
    let offer = scheduler.offer().await;
    let part = json!({"name": "mem", "type": "SCALAR", "scalar": {"value": 32}, "role": "eng", "reservation": {"type": "DYNAMIC"}});
    let accept = async |scheduler: &Scheduler<'_>, offer: &serde_json::Value, operations: serde_json::Value| {
        let accept = json!({"offer_ids": [offer["id"]], "operations": operations, "filters": {"refuse_seconds": 0}});
        scheduler.call("ACCEPT", "accept", accept).await
    };
    let reserved = |offer: &serde_json::Value| {
        let parts = offer["resources"].as_array().unwrap().clone();
        parts.into_iter().find(|part| part["reservation"]["type"] == "DYNAMIC")
    };

    let reserve = json!({"type": "RESERVE", "reserve": {"resources": [part]}});
    let group = json!({"type": "LAUNCH_GROUP", "launch_group": {"task_group": {"tasks": [task("t-1", &offer)]}}});
    assert_eq!(accept(&scheduler, &offer, json!([reserve, group])).await.code, 202);

    assert_eq!(agent.launched().await.name, "t-1");
    let offer = scheduler.offer().await;
    let left = reserved(&offer).expect("a part is reserved");
    assert_eq!((&left["role"], &left["scalar"]["value"]), (&json!("eng"), &json!(16.0)), "the task has the rest");

    let unreserve = json!({"type": "UNRESERVE", "unreserve": {"resources": [left]}});
    assert_eq!(accept(&scheduler, &offer, json!([unreserve])).await.code, 202);
    assert_eq!(reserved(&scheduler.offer().await), None);
}

#[tokio::test]
async fn a_command_for_a_shell_is_in_error_and_says_what_to_send() {
    let master = master().await;
    let _agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;
    let mut shell = task("s", &offer);
    shell["command"] = json!({"value": "echo hi > /tmp/x"});

    scheduler.launch(&offer, &[shell]).await;

    let status = scheduler.update().await;
    assert_eq!((&status["state"], &status["reason"]), (&json!("TASK_ERROR"), &json!("REASON_TASK_INVALID")));
    assert_eq!((&status["task_id"]["value"], &status["agent_id"]), (&json!("s"), &offer["agent_id"]));
    assert!(status["message"].as_str().unwrap().contains("no shell here") && status["uuid"].is_null(), "{status}");
    // What was not used is free, and offered again when it is wanted.
    scheduler.call("REVIVE", "revive", json!({})).await;
    scheduler.offer().await;
}

#[tokio::test]
async fn tasks_on_an_offer_that_is_gone_are_lost_under_their_names() {
    let master = master().await;
    let _agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;
    scheduler.call("DECLINE", "decline", json!({"offer_ids": [offer["id"]]})).await;

    scheduler.launch(&offer, &[task("late", &offer)]).await;

    let status = scheduler.update().await;
    assert_eq!((&status["task_id"]["value"], &status["state"]), (&json!("late"), &json!("TASK_LOST")));
    assert_eq!(status["reason"], "REASON_INVALID_OFFERS");
}

#[tokio::test]
async fn where_tasks_stand_is_told_by_their_names_also_to_who_has_failed_over() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut first = Scheduler::subscribe(&master, json!({})).await;
    let offer = first.offer().await;
    first.launch(&offer, &[task("t-1", &offer)]).await;
    let spec = agent.launched().await;
    agent.update(&spec, 1, TaskState::Running).await;
    first.update().await;

    let framework = first.framework.clone();
    let mut second =
        Scheduler::subscribe(&master, json!({"id": framework, "capabilities": [{"type": "PARTITION_AWARE"}]})).await;

    assert_eq!(second.framework, framework);
    assert_ne!(second.stream_id, first.stream_id);
    let last = first.stream.hears("ERROR").await;
    assert!(last["error"]["message"].as_str().unwrap().starts_with("Framework failed over"), "{last}");
    while first.stream.event().await.is_some() {}
    assert_eq!(first.call("REVIVE", "revive", json!({})).await.code, 400, "its stream is another one now");
    second.call("RECONCILE", "reconcile", json!({})).await;
    assert_eq!(second.update().await["task_id"]["value"], "t-1");
    second.call("RECONCILE", "reconcile", json!({"tasks": [{"task_id": {"value": "never"}}]})).await;
    let never = second.update().await;
    assert_eq!((&never["task_id"]["value"], &never["state"]), (&json!("never"), &json!("TASK_UNKNOWN")));
}

#[tokio::test]
async fn who_tears_down_is_gone_with_its_tasks_and_cannot_come_back() {
    let master = master().await;
    let scheduler = Scheduler::subscribe(&master, json!({})).await;
    let framework = scheduler.framework.clone();

    assert_eq!(scheduler.call("TEARDOWN", "teardown", json!(null)).await.code, 202);

    scheduler.stream.ends().await;
    let mut again = Scheduler::stream(&master, &authorization(&master), json!({"id": framework})).await;
    assert_eq!(again.event().await.unwrap()["error"]["message"], "Framework has been removed");
    again.ends().await;
}

#[tokio::test]
async fn who_is_not_connected_is_told_so_and_nobody_speaks_for_another() {
    use haggle_proto::v1::PrincipalKind;

    let master = master().await;
    let other = create(&master, wanted(PrincipalKind::Framework, "other", &[])).await.text;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let own = std::mem::replace(&mut scheduler.authorization, format!("Bearer {other}"));
    assert_eq!(scheduler.call("REVIVE", "revive", json!({})).await.code, 400);

    scheduler.authorization = own;
    let (framework, stream_id) = (scheduler.framework.clone(), scheduler.stream_id.clone());
    scheduler.vanish();

    let call = json!({"type": "REVIVE", "framework_id": framework});
    let code =
        async || super::kit::call(&master, super::kit::SCHEDULER, &[("mesos-stream-id", &stream_id)], &call).await.code;
    while code().await != 403 {
        tokio::task::yield_now().await;
    }
}
