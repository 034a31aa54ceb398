//! What operators, their dashboards and exporters ask.

use haggle_proto::v1::{self, PrincipalKind, TaskState};
use serde_json::json;

use super::kit::{JSON, Scheduler, Stream, ask, authorization, call, get, master, task};
use crate::access::{create, wanted};
use crate::peers::{Agent, operator};

const OPERATOR: &str = "/api/v1/operator";

#[tokio::test]
async fn each_thing_can_be_asked_for() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, &[task("t-1", &offer)]).await;
    let spec = agent.launched().await;
    agent.update(&spec, 1, TaskState::Running).await;
    scheduler.update().await;
    let ask = async |kind: &str| {
        let answer = call(&master, OPERATOR, &[], &json!({"type": kind})).await;
        assert_eq!((answer.code, &answer.json()["type"]), (200, &json!(kind)), "{answer:?}");
        answer.json()[kind.to_ascii_lowercase()].clone()
    };

    assert_eq!(ask("GET_HEALTH").await["healthy"], true);
    assert_eq!(ask("GET_VERSION").await["version_info"]["version"], "1.11.0");
    assert_eq!(ask("GET_AGENTS").await["agents"][0]["agent_info"]["id"], offer["agent_id"]);
    assert_eq!(ask("GET_FRAMEWORKS").await["frameworks"][0]["framework_info"]["id"], scheduler.framework);
    let task = ask("GET_TASKS").await["tasks"][0].clone();
    assert_eq!((&task["task_id"]["value"], &task["state"]), (&json!("t-1"), &json!("TASK_RUNNING")));
    let state = ask("GET_STATE").await;
    assert_eq!(state["get_tasks"]["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(ask("GET_ROLES").await["roles"][0]["name"], "*");
    assert!(ask("GET_MASTER").await["master_info"]["port"].as_u64().unwrap() > 0);
    let metrics = ask("GET_METRICS").await;
    let running = metrics["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == "master/tasks_running");
    assert_eq!(running.unwrap()["value"], 1.0);
    ask("GET_FLAGS").await;
    ask("GET_EXECUTORS").await;
    assert_eq!(call(&master, OPERATOR, &[], &json!({"type": "MARK_AGENT_GONE"})).await.code, 400);
}

#[tokio::test]
async fn the_old_endpoints_show_the_same() {
    let master = master().await;
    let _agent = Agent::register(&master, None).await;
    let scheduler = Scheduler::subscribe(&master, json!({})).await;

    let state = get(&master, "/state").await.json();
    assert_eq!((&state["version"], state["activated_slaves"].as_u64()), (&json!("1.11.0"), Some(1)));
    assert_eq!(state["frameworks"][0]["id"], scheduler.framework["value"]);
    assert_eq!(get(&master, "/master/slaves").await.json()["slaves"].as_array().unwrap().len(), 1);
    assert_eq!(get(&master, "/master/roles").await.json()["roles"][0]["name"], "*");
    let metrics = get(&master, "/metrics/snapshot").await.json();
    assert_eq!((&metrics["master/elected"], &metrics["master/slaves_active"]), (&json!(1.0), &json!(1.0)));
}

/// As Mesos's own page on monitoring calls them, as far as there is such a thing here.
#[tokio::test]
async fn the_numbers_have_mesos_names() {
    let master = master().await;
    let metrics = get(&master, "/metrics/snapshot").await.json();

    let resources = ["cpus", "gpus", "mem", "disk"];
    let of = |names: &[&str], after: &[&str]| -> Vec<String> {
        names.iter().flat_map(|name| after.iter().map(move |after| format!("master/{name}_{after}"))).collect()
    };
    let states = [
        "staging",
        "starting",
        "running",
        "killing",
        "finished",
        "killed",
        "failed",
        "error",
        "lost",
        "dropped",
        "gone",
        "gone_by_operator",
        "unreachable",
    ];
    let mut names = of(&resources, &["total", "used", "percent"]);
    let revocable = resources.map(|name| format!("{name}_revocable"));
    names.extend(of(&revocable.each_ref().map(String::as_str), &["total", "used", "percent"]));
    names.extend(of(&["tasks"], &states));
    names.extend(of(&["slaves", "frameworks"], &["active", "inactive", "connected", "disconnected"]));
    let single = [
        "uptime_secs",
        "elected",
        "outstanding_offers",
        "event_queue_dispatches",
        "event_queue_messages",
        "event_queue_http_requests",
        "slave_registrations",
        "slave_reregistrations",
        "slave_removals",
        "slave_removals/reason_unhealthy",
        "slave_removals/reason_unregistered",
        "slave_unreachable_completed",
        "recovery_slave_removals",
        "operator_event_stream_subscribers",
        "slaves_unreachable",
        "messages_decline_offers",
        "dropped_messages",
    ];
    names.extend(single.map(|name| format!("master/{name}")));
    let messages = [
        "register_slave",
        "reregister_slave",
        "unregister_slave",
        "update_slave",
        "status_update",
        "register_framework",
        "reregister_framework",
        "unregister_framework",
        "launch_tasks",
        "resource_request",
        "revive_offers",
        "suppress_offers",
        "kill_task",
        "status_update_acknowledgement",
        "reconcile_tasks",
    ];
    names.extend(messages.map(|name| format!("master/messages_{name}")));
    names.extend(resources.map(|name| format!("allocator/mesos/resources/{name}/total")));
    let timers =
        ["allocator/mesos/allocation_run_ms", "allocator/mesos/allocation_run_latency_ms", "registrar/state_store_ms"];
    for timer in timers {
        let of = ["count", "min", "max", "p50", "p90", "p95", "p99", "p999", "p9999"];
        names.push(timer.to_owned());
        names.extend(of.map(|of| format!("{timer}/{of}")));
    }
    names.push("allocator/mesos/allocation_runs".to_owned());
    let system = ["cpus_total", "load_1min", "load_5min", "load_15min", "mem_total_bytes", "mem_free_bytes"];
    names.extend(system.map(|name| format!("system/{name}")));
    for name in names {
        assert!(metrics[&name].is_f64(), "{name} of {metrics}");
    }
}

#[tokio::test]
async fn messages_are_counted_by_mesos_names() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, &[task("t-1", &offer), task("t-2", &offer)]).await;
    let spec = agent.launched().await;
    agent.update(&spec, 1, TaskState::Running).await;
    let running = scheduler.update().await;

    scheduler.acknowledge(&running).await;
    scheduler.call("KILL", "kill", json!({"task_id": {"value": "t-1"}})).await;
    scheduler.call("RECONCILE", "reconcile", json!({"tasks": []})).await;
    scheduler.call("SUPPRESS", "suppress", json!({})).await;
    scheduler.call("REVIVE", "revive", json!({})).await;

    let metrics = get(&master, "/metrics/snapshot").await.json();
    for (name, heard) in [
        ("register_slave", 1.0),
        ("reregister_slave", 0.0),
        ("register_framework", 1.0),
        ("launch_tasks", 1.0),
        ("status_update", 1.0),
        ("status_update_acknowledgement", 1.0),
        ("kill_task", 1.0),
        ("reconcile_tasks", 1.0),
        ("suppress_offers", 1.0),
        ("revive_offers", 1.0),
        ("unregister_framework", 0.0),
    ] {
        assert_eq!(metrics[format!("master/messages_{name}")], heard, "{name}: {metrics}");
    }
    assert_eq!(metrics["master/dropped_messages"], 0.0);
}

#[tokio::test]
async fn tasks_are_counted_by_why_they_ended_by_mesos_names() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, &[task("t-1", &offer)]).await;
    let spec = agent.launched().await;
    agent.update(&spec, 1, TaskState::Failed).await;
    scheduler.launch(&offer, &[task("t-2", &offer)]).await;
    while scheduler.update().await["task_id"]["value"] != "t-2" {}

    let metrics = get(&master, "/metrics/snapshot").await.json();

    let of = |name: &str| metrics[format!("master/{name}")].as_f64();
    assert_eq!([of("tasks_failed"), of("tasks_dropped")], [Some(1.0), Some(1.0)], "{metrics}");
    assert_eq!(of("task_dropped/source_master/reason_invalid_offers"), Some(1.0), "{metrics}");
    assert_eq!(metrics["allocator/mesos/offer_filters/roles/*/active"], 1.0, "{metrics}");
}

#[tokio::test]
async fn a_role_with_a_quota_has_its_numbers_by_mesos_names() {
    let master = master().await;
    let _agent = Agent::register(&master, None).await;
    let guarantee = v1::Resources { milli_cpus: 500, ..Default::default() };
    let limit =
        v1::Ceiling { mem_bytes: Some(64 << 20), scalars: [("gpus".to_owned(), 2_000)].into(), ..Default::default() };
    let quota = v1::Quota { guarantee: Some(guarantee), limit: Some(limit) };
    let quota = v1::SetQuotaRequest { role: "eng".to_owned(), quota: Some(quota), ..Default::default() };
    operator(&master).await.set_quota(quota).await.unwrap();

    let metrics = get(&master, "/metrics/snapshot").await.json();

    let of = |what: &str| metrics[format!("allocator/mesos/quota/roles/eng/resources/{what}")].as_f64();
    assert_eq!([of("cpus/guarantee"), of("cpus/limit")], [Some(0.5), None]);
    assert_eq!([of("mem/limit"), of("gpus/limit")], [Some(64.0), Some(2.0)]);
    assert_eq!(of("cpus/offered_or_allocated"), Some(0.0));
    assert_eq!(metrics["allocator/mesos/roles/eng/shares/dominant"], 0.0);
    assert_eq!((&metrics["master/slave_registrations"], &metrics["master/slave_removals"]), (&json!(1.0), &json!(0.0)));
}

#[tokio::test]
async fn anybody_asks_whether_the_master_is_up_and_nothing_of_the_cluster() {
    let master = master().await;
    let ask = async |path: &str| ask(master.addr(), "GET", path, &[], b"").await;

    assert_eq!(ask("/health").await.code, 200);
    assert_eq!(ask("/version").await.json()["version"], "1.11.0");
    let redirect = ask("/master/redirect").await;
    assert_eq!((redirect.code, &redirect.headers["location"]), (307, &format!("//{}", master.addr())));
    for path in ["/state", "/master/tasks", "/metrics/snapshot"] {
        assert_eq!(ask(path).await.code, 401, "{path}");
    }
}

#[tokio::test]
async fn everybody_sees_its_own() {
    let master = master().await;
    let _scheduler = Scheduler::subscribe(&master, json!({})).await;
    let framework = create(&master, wanted(PrincipalKind::Framework, "ci", &[])).await.text;
    let bearer = format!("Bearer {framework}");
    let get = async |path: &str| ask(master.addr(), "GET", path, &[("authorization", &*bearer)], b"").await;

    assert_eq!(get("/state").await.json()["frameworks"], json!([]));
    assert_eq!(get("/metrics/snapshot").await.code, 403);
}

#[tokio::test]
async fn whoever_subscribes_hears_what_there_is_and_then_what_happens() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let authorization = authorization(&master);
    let headers = [JSON, ("authorization", &*authorization)];
    let mut stream = Stream::open(master.addr(), "/api/v1", &headers, br#"{"type":"SUBSCRIBE"}"#).await;
    let subscribed = stream.event().await.unwrap();
    assert_eq!(subscribed["subscribed"]["get_state"]["get_agents"]["agents"].as_array().unwrap().len(), 1);

    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let added = stream.hears("FRAMEWORK_ADDED").await;
    assert_eq!(added["framework_added"]["framework"]["framework_info"]["id"], scheduler.framework);
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, &[task("t-1", &offer)]).await;
    let spec = agent.launched().await;
    let added = stream.hears("TASK_ADDED").await;
    assert_eq!(added["task_added"]["task"]["task_id"]["value"], "t-1");
    agent.update(&spec, 1, TaskState::Running).await;
    let updated = stream.hears("TASK_UPDATED").await;
    assert_eq!(updated["task_updated"]["state"], "TASK_RUNNING");
    assert_eq!(updated["task_updated"]["status"]["task_id"]["value"], "t-1");
    scheduler.call("TEARDOWN", "teardown", json!(null)).await;
    let removed = stream.hears("FRAMEWORK_REMOVED").await;
    assert_eq!(removed["framework_removed"]["framework_info"]["id"], scheduler.framework);
}
