#![expect(clippy::needless_pass_by_value, reason = "literals are read best where they are passed")]

use haggle_core::{ClusterId, FrameworkId, InverseOfferId, OfferId, Operation};
use serde_json::{Value, json};

use super::*;
use crate::ids::{Ids, task_number};
use crate::meaning::Copes;

const DIALECT: Dialect = Dialect {
    ids: Ids(ClusterId(1)),
    framework: FrameworkId(7),
    copes: Copes { partition_aware: false, killing: false },
};

const MODULE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn understand(call: Value) -> Result<Said, BadCall> {
    DIALECT.understand(crate::json::read(call.to_string().as_bytes()).unwrap())
}

fn commands(call: Value) -> Vec<FrameworkCommand> {
    understand(call).unwrap().commands
}

fn value(value: String) -> Value {
    json!({ "value": value })
}

fn offer(number: u64) -> Value {
    value(DIALECT.ids.offer(OfferId(number)))
}

fn task(name: &str) -> TaskId {
    TaskId { framework: FrameworkId(7), number: task_number(name) }
}

fn info(name: &str, command: Value) -> Value {
    json!({
        "name": name, "task_id": {"value": name}, "agent_id": value(DIALECT.ids.agent(AgentId(3))), "command": command,
        "resources": [{"name": "cpus", "scalar": {"value": 1}}, {"name": "mem", "scalar": {"value": "16"}}],
    })
}

#[test]
fn tasks_are_launched_and_what_cannot_run_is_told_while_the_rest_goes_on() {
    let good = info("good", json!({"shell": false, "value": "x", "uris": [{"value": MODULE}]}));
    let bad = info("bad", json!({"value": "echo hi"}));

    let said = understand(json!({
        "type": "ACCEPT", "accept": {
            "offer_ids": [offer(4)], "filters": {"refuse_seconds": 1.5},
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [good, bad]}}],
        },
    }))
    .unwrap();

    let [FrameworkCommand::Accept { offers, tasks, refuse, .. }] = &said.commands[..] else { panic!("{said:?}") };
    assert_eq!((&offers[..], *refuse), (&[OfferId(4)][..], Duration::from_millis(1_500)));
    assert_eq!(tasks.iter().map(|spec| spec.id).collect::<Vec<_>>(), [task("good")]);
    assert_eq!((said.refused[0].task, said.refused[0].state), (task("bad"), TaskState::Error));
    assert_eq!(said.refused[0].agent, Some(AgentId(3)));
    assert_eq!(said.mentioned.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["good", "bad"]);
}

#[test]
fn a_group_is_launched_whole_or_not_at_all() {
    let good = || info("good", json!({"shell": false, "value": "x", "uris": [{"value": MODULE}]}));
    let group = |tasks: Value| {
        json!({"type": "ACCEPT", "accept": {"offer_ids": [offer(4)], "operations": [
            {"type": "LAUNCH_GROUP", "launch_group": {"executor": {"type": "DEFAULT"}, "task_group": {"tasks": tasks}}},
        ]}})
    };

    let whole = understand(group(json!([good()]))).unwrap();
    let broken = understand(group(json!([good(), info("bad", json!({"value": "a | b"}))]))).unwrap();

    let [FrameworkCommand::LaunchGroup { tasks, .. }] = &whole.commands[..] else { panic!("{whole:?}") };
    assert_eq!((tasks[0].agent, tasks[0].task.id), (AgentId(3), task("good")));
    assert!(matches!(&broken.commands[..], [FrameworkCommand::Accept { tasks, .. }] if tasks.is_empty()), "{broken:?}");
    assert_eq!(broken.refused.len(), 2);
}

/// One core, reserved for these roles, the last below those before it.
fn reserved(kind: &str, roles: &[&str]) -> Value {
    let of = |role: &&str| json!({"type": kind, "role": role});
    let reservations: Vec<Value> = roles.iter().map(of).collect();
    json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "reservations": reservations})
}

fn accept(operations: Value) -> Value {
    json!({"type": "ACCEPT", "accept": {"offer_ids": [offer(4)], "operations": operations}})
}

fn one_core() -> haggle_core::Resources {
    haggle_core::Resources::new(
        haggle_core::MilliCpu::from_cores(1),
        haggle_core::Bytes::ZERO,
        haggle_core::Bytes::ZERO,
    )
}

#[test]
fn what_is_reserved_and_freed_before_a_launch_is_said_with_it_in_its_order() {
    let good = info("good", json!({"shell": false, "value": "x", "uris": [{"value": MODULE}]}));
    // As what was offered says it, and as it was said before reservations could be refined.
    let old = json!({"name": "cpus", "scalar": {"value": 1}, "role": "eng", "reservation": {"type": "DYNAMIC"}});

    let said = commands(accept(json!([
        {"type": "UNRESERVE", "unreserve": {"resources": [old]}},
        {"type": "RESERVE", "reserve": {"resources": [reserved("DYNAMIC", &["eng", "eng/batch"])]}},
        {"type": "LAUNCH", "launch": {"task_infos": [good]}},
    ])));

    let [FrameworkCommand::Accept { operations, tasks, .. }] = &said[..] else { panic!("{said:?}") };
    let unreserve = Operation::Unreserve { role: "eng".to_owned(), resources: one_core() };
    let within = Some("eng".to_owned());
    let reserve = Operation::Reserve { role: "eng/batch".to_owned(), within, resources: one_core() };
    assert_eq!((operations, tasks.len()), (&vec![unreserve.into(), reserve.into()], 1));
}

#[test]
fn what_is_reserved_with_a_group_is_of_the_agent_of_its_tasks() {
    let good = info("good", json!({"shell": false, "value": "x", "uris": [{"value": MODULE}]}));

    let said = commands(accept(json!([
        {"type": "RESERVE", "reserve": {"resources": [reserved("DYNAMIC", &["*"])]}},
        {"type": "LAUNCH_GROUP", "launch_group": {"task_group": {"tasks": [good]}}},
    ])));

    let [FrameworkCommand::LaunchGroup { operations, tasks, .. }] = &said[..] else { panic!("{said:?}") };
    let reserve = Operation::Reserve { role: "default".to_owned(), within: None, resources: one_core() };
    let placed = PlacedOperation { agent: AgentId(3), operation: reserve.into() };
    assert_eq!((operations, tasks.len()), (&vec![placed], 1));
}

#[test]
fn an_operation_that_cannot_be_done_as_it_is_said_says_why() {
    let good = || info("good", json!({"shell": false, "value": "x", "uris": [{"value": MODULE}]}));
    let launch = || json!({"type": "LAUNCH", "launch": {"task_infos": [good()]}});
    let group = || json!({"type": "LAUNCH_GROUP", "launch_group": {"task_group": {"tasks": [good()]}}});
    let reserve = |part: Value| json!({"type": "RESERVE", "reserve": {"resources": [part]}});
    let wrong = [
        (json!([{"type": "RESERVE"}]), "has a field reserve"),
        (json!([launch(), reserve(reserved("DYNAMIC", &["eng"]))]), "too late"),
        (json!([launch(), group()]), "beside another launch"),
        (json!([reserve(reserved("STATIC", &["eng"]))]), "flags of an agent"),
        (json!([reserve(json!({"name": "cpus", "scalar": {"value": 1}}))]), "names no reservation"),
        (
            json!([reserve(json!({"name": "cpus", "scalar": {"value": -1}, "reservations": [{"role": "eng"}]}))]),
            "is no amount",
        ),
        (
            json!([{"type": "RESERVE", "id": {"value": "op"}, "reserve": {"resources": [reserved("DYNAMIC", &["eng"])]}}]),
            "no status of their own",
        ),
        (json!([{"type": "GROW_VOLUME"}]), "haggle volume"),
    ];
    for (operations, why) in wrong {
        let told = understand(accept(operations)).unwrap_err().to_string();
        assert!(told.contains(why), "{told:?} does not say {why:?}");
    }
}

#[test]
fn nothing_is_launched_on_an_offer_that_is_none_of_ours() {
    let said = commands(json!({"type": "ACCEPT", "accept": {"offer_ids": [offer(4), {"value": "x"}]}}));

    let [FrameworkCommand::Accept { offers, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!(offers, &[OfferId(0)]);
}

#[test]
fn what_is_declined_may_be_gone_long_ago() {
    let said =
        commands(json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": "x"}, offer(9)], "filters": null}}));

    assert_eq!(said, [FrameworkCommand::Decline { offers: vec![OfferId(9)], refuse: REFUSE }]);
    let inverse = value(DIALECT.ids.inverse_offer(InverseOfferId(2)));
    let said = commands(json!({"type": "DECLINE_INVERSE_OFFERS", "decline_inverse_offers": {
        "inverse_offer_ids": [inverse], "filters": {"refuse_seconds": -1}}}));
    assert_eq!(said, [FrameworkCommand::DeclineInverse { offers: vec![InverseOfferId(2)], refuse: REFUSE }]);
}

#[test]
fn an_update_is_acknowledged_by_what_was_told_with_it_and_nothing_else_is() {
    let uuid = |bytes: Vec<u8>| {
        use base64::Engine;
        base64::prelude::BASE64_STANDARD.encode(bytes)
    };
    let acknowledge = |uuid: String| {
        json!({"type": "ACKNOWLEDGE", "acknowledge": {
            "agent_id": value(DIALECT.ids.agent(AgentId(3))), "task_id": {"value": "t"}, "uuid": uuid}})
    };

    let said = commands(acknowledge(uuid(status::uuid(task("t"), UpdateId(5)))));

    let taken = Acknowledgement { task: task("t"), update: UpdateId(5), agent: Some(AgentId(3)) };
    assert_eq!(said, [FrameworkCommand::Acknowledge(vec![taken])]);
    for other in [uuid(status::uuid(task("u"), UpdateId(5))), uuid(vec![1; 16]), uuid(vec![])] {
        assert_eq!(commands(acknowledge(other)), []);
    }
}

#[test]
fn roles_are_named_or_all_and_the_star_is_the_default() {
    let role = |role: &str| Some(role.to_owned());

    assert_eq!(commands(json!({"type": "REVIVE"})), [FrameworkCommand::Revive { role: None }]);
    assert_eq!(
        commands(json!({"type": "SUPPRESS", "suppress": {"roles": ["*", "a/b"]}})),
        [FrameworkCommand::Suppress { role: role("default") }, FrameworkCommand::Suppress { role: role("a/b") }]
    );
}

#[test]
fn tasks_are_asked_for_killed_and_torn_down() {
    let question = |agent| Question { task: task("t"), agent };
    let agent = value(DIALECT.ids.agent(AgentId(3)));

    assert_eq!(
        commands(json!({"type": "RECONCILE", "reconcile": {"tasks": [
            {"task_id": {"value": "t"}}, {"task_id": {"value": "t"}, "agent_id": agent}]}})),
        [FrameworkCommand::Reconcile(vec![question(None), question(Some(AgentId(3)))])]
    );
    assert_eq!(commands(json!({"type": "RECONCILE", "reconcile": {}})), [FrameworkCommand::Reconcile(vec![])]);
    assert_eq!(
        commands(json!({"type": "KILL", "kill": {"task_id": {"value": "t"}}})),
        [FrameworkCommand::Kill(task("t"))]
    );
    assert_eq!(
        commands(json!({"type": "SHUTDOWN", "shutdown": {"executor_id": {"value": "t"}, "agent_id": agent}})),
        [FrameworkCommand::Kill(task("t"))]
    );
    assert_eq!(commands(json!({"type": "TEARDOWN"})), [FrameworkCommand::Teardown]);
    assert_eq!(commands(json!({"type": "MESSAGE"})), []);
}

#[test]
fn a_task_that_came_another_way_is_named_as_it_is_here() {
    let kill = |name: &str| commands(json!({"type": "KILL", "kill": {"task_id": {"value": name}}}));

    let own = TaskId { framework: FrameworkId(7), number: 12 };
    assert_eq!(kill("task-7.12"), [FrameworkCommand::Kill(own)]);
    assert_eq!(kill("task-8.12"), [FrameworkCommand::Kill(task("task-8.12"))]);
}

#[test]
fn what_means_nothing_says_why() {
    let told = |call: Value| understand(call).unwrap_err().to_string();

    assert_eq!(told(json!({"type": "KILL"})), "a call of type KILL has a field kill, and this one has not");
    assert!(told(json!({"type": "RECONCILE_OPERATIONS"})).contains("not served"));
    let create = told(json!({"type": "ACCEPT", "accept": {"offer_ids": [], "operations": [{"type": "CREATE"}]}}));
    assert!(create.contains("haggle volume"), "{create}");
    let many: Vec<_> = (0..=ITEMS_MAX).map(|_| json!({"value": "x"})).collect();
    assert!(told(json!({"type": "DECLINE", "decline": {"offer_ids": many}})).contains("10001"));
}
