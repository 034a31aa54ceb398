#![expect(clippy::needless_pass_by_value, reason = "literals are read best where they are passed")]

use haggle_core::{Endpoint, HttpHost};
use serde_json::{Value, json};

use super::*;
use crate::ids::task_number;

const MODULE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const DATA: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A task with these fields, as JSON.
fn read(fields: Value) -> Result<TaskSpec, BadTask> {
    let mut info = json!({
        "name": "a", "task_id": {"value": "t"}, "agent_id": {"value": "s"},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
        ],
    });
    info.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    spec(FrameworkId(7), crate::json::read(info.to_string().as_bytes()).unwrap())
}

fn command(command: Value) -> Result<TaskSpec, BadTask> {
    read(json!({ "command": command }))
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

#[test]
fn a_module_is_a_uri_and_arguments_begin_with_the_programs_name() {
    let spec = command(json!({
        "shell": false, "value": "x.wasm", "arguments": ["x.wasm", "a", "b c"],
        "uris": [{"value": MODULE, "output_file": "x.wasm"}, {"value": DATA, "output_file": "in.csv"}],
        "environment": {"variables": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
    }))
    .unwrap();

    assert_eq!((spec.module, spec.args), (digest(MODULE), vec!["a".to_owned(), "b c".to_owned()]));
    assert_eq!(spec.inputs, [Input { guest_path: "/in.csv".to_owned(), content: digest(DATA) }]);
    assert_eq!(spec.env, [("A".to_owned(), "2".to_owned())]);
    assert_eq!((spec.id.framework, spec.id.number, spec.name.as_str()), (FrameworkId(7), task_number("t"), "t"));
    assert_eq!((spec.resources.cpus, spec.resources.mem), (MilliCpu::new(500), Bytes::from_mib(32)));
}

#[test]
fn a_line_that_needs_no_shell_is_split() {
    let uri = format!("haggle://{}/x.wasm", &MODULE["sha256:".len()..]);

    let spec = command(json!({"value": "./x.wasm a 'b c'", "uris": [{"value": uri}]})).unwrap();

    assert_eq!((spec.module, spec.args), (digest(MODULE), vec!["a".to_owned(), "b c".to_owned()]));
}

#[test]
fn a_digest_alone_is_the_program_whatever_that_is_called() {
    let spec = command(json!({"shell": false, "value": "x.wasm", "uris": [{"value": MODULE}]})).unwrap();

    assert_eq!(spec.module, digest(MODULE));
}

#[test]
fn a_label_names_the_module_and_what_mesos_has_no_word_for() {
    let label = |key: &str, value: &str| json!({"key": key, "value": value});
    let spec = read(json!({
        "labels": {"labels": [
            label("haggle.module", MODULE), label("haggle.fuel", "5"), label("haggle.output", "64KiB"),
            label("haggle.truncate", "true"), label("haggle.allow-net", "db.example:5432, [::1]:80"),
            label("haggle.allow-http", "api.example"), label("team", "x"),
        ]},
        "container": {"type": "DOCKER", "docker": {"image": "busybox"}},
        "command": {"shell": false, "arguments": ["x", "a"]},
        "max_completion_time": {"nanoseconds": 5_000_000_000_u64},
        "limits": {"cpus": {"value": "Infinity"}, "mem": {"value": 32}},
        "data": "aGk=",
    }))
    .unwrap();

    assert_eq!(spec.module, digest(MODULE));
    let Limits { fuel, time, output, output_overrun } = spec.limits;
    assert_eq!((fuel, time, output), (Some(Fuel::new(5)), Some(Duration::from_secs(5)), Bytes::from_kib(64)));
    assert_eq!((output_overrun, spec.sharing.burst), (OutputOverrun::Truncate, ALL_CORES));
    assert_eq!(
        (spec.grants.net.len(), spec.grants.net[0].clone()),
        (2, Endpoint { host: "db.example".into(), port: 5432 })
    );
    assert_eq!(spec.grants.http, [HttpHost { host: "api.example".into(), port: None }]);
    assert_eq!(spec.stdin, b"hi");
}

#[test]
fn whoever_sends_what_does_not_run_here_is_told_what_to_send() {
    let told = |fields: Value| read(fields).unwrap_err().to_string();
    let module = json!([{"value": MODULE, "output_file": "x.wasm"}]);

    for (fields, words) in [
        (json!({"command": {"value": "echo hi | wc"}}), "no shell here"),
        (json!({"command": {"value": "echo hi"}}), "haggle upload"),
        (json!({"command": {"value": "./y.wasm", "uris": module}}), "no module among"),
        (json!({"command": {"value": "x", "uris": [{"value": "http://h/x.wasm"}]}}), "haggle upload"),
        (json!({"command": {"value": "x", "uris": [{"value": MODULE, "output_file": "a.tar"}]}}), "extract: false"),
        (json!({"container": {"type": "DOCKER", "docker": {"image": "busybox"}}}), "image of containers"),
        (json!({}), "no command"),
        (json!({"executor": {"executor_id": {"value": "e"}}}), "custom executors"),
        (json!({"health_check": {"type": "TCP"}}), "health"),
        (json!({"labels": {"labels": [{"key": "haggle.fule", "value": "1"}]}}), "not known"),
        (json!({"task_id": {"value": "a/b"}}), "task_id"),
        (json!({"command": {"value": "x.wasm", "uris": module}, "limits": {"mem": {"value": 64}}}), "limits.mem"),
    ] {
        let told = told(fields.clone());
        assert!(told.contains(words), "{fields}: {told}");
    }
}
