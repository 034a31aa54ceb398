//! Bodies as clients send them, and what they read.

use haggle_core::cluster::FrameworkEvent;
use haggle_core::resources::{PortRange, Ports};
use haggle_core::{
    AgentId, Bytes, ClusterId, Ending, Exceeded, FrameworkId, MilliCpu, Offer, OfferId, Reason, Resources, Source,
    TaskId, TaskState, TaskStatus, UpdateId, Usage,
};
use haggle_mesos::Format::Json;
use haggle_mesos::meaning::{Copes, Dialect, introduction};
use haggle_mesos::wire::scheduler::{Call, CallType, Event};
use haggle_mesos::{Ids, task_number};

fn dialect(copes: Copes) -> Dialect {
    Dialect { ids: Ids(ClusterId(0xab)), framework: FrameworkId(7), copes }
}

fn told(event: FrameworkEvent, copes: Copes) -> String {
    let events = dialect(copes).events(event, |_| ("t-1".to_owned(), Some(AgentId(3))), 1.5);
    let written = events.iter().map(|event| String::from_utf8(Json.write(event)).unwrap());
    written.collect::<Vec<_>>().join("\n")
}

fn call(text: &str) -> Call {
    Json.read(text.as_bytes()).unwrap()
}

#[test]
fn nulls_are_not_there_and_unknown_fields_and_words_are_passed_over() {
    // As npm's mesos-framework writes it.
    let call = call(
        r#"{"framework_id":null,"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"x","id":null,
        "failover_timeout":604800,"checkpoint":null,"role":null,"hostname":null,"capabilities":[{"type":"FROM_THE_FUTURE"}]},
        "credentials":[{"principal":"p","secret":"s"}]},"accept":null,"decline":null,"no":{"such":["field",null]}}"#,
    );

    assert_eq!((call.r#type(), &call.framework_id), (CallType::Subscribe, &None));
    let introduction = introduction(call.subscribe.unwrap()).unwrap();
    assert_eq!((introduction.info.roles, introduction.info.name.as_str()), (vec!["default".to_owned()], "x"));
    assert_eq!((introduction.info.failover_timeout.as_secs(), introduction.id), (604_800, None));
}

#[test]
fn numbers_and_truth_may_be_texts_and_bytes_are_base64() {
    let call = call(
        r#"{"type":"ACKNOWLEDGE","framework_id":{"value":"f"},"acknowledge":{"uuid":"AAEC\n","task_id":{"value":"t"}},
        "accept":{"filters":{"refuse_seconds":"0.5"},"operations":[{"type":"LAUNCH","launch":{"task_infos":[
        {"command":{"shell":"false"},"limits":{"cpus":{"value":"Infinity"}}}]}}]}}"#,
    );

    assert_eq!(call.acknowledge.unwrap().uuid, [0, 1, 2]);
    let accept = call.accept.unwrap();
    assert_eq!(accept.filters.unwrap().refuse_seconds, Some(0.5));
    let task = &accept.operations[0].launch.as_ref().unwrap().task_infos[0];
    assert_eq!(task.command.as_ref().unwrap().shell, Some(false));
    assert_eq!(task.limits["cpus"].value, f64::INFINITY);
}

#[test]
fn what_is_no_call_says_what_is_wrong_with_it() {
    let why = |text: &str| Json.read::<Call>(text.as_bytes()).unwrap_err().to_string();

    for (text, words) in [
        ("", "EOF"),
        ("[]", "JSON object"),
        ("{\"type\":\"NO_SUCH\"}", "\"NO_SUCH\" is no CallType"),
        ("{\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":7}}}", "7 is no text"),
        ("{\"type\":\"KILL\",\"kill\":3}", "invalid type"),
        (&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "recursion limit"),
    ] {
        let why = why(text);
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_heartbeat_is_as_short_as_it_can_be() {
    assert_eq!(Json.write(&Event::heartbeat()), br#"{"type":"HEARTBEAT"}"#);
}

#[test]
fn an_offer_has_all_that_clients_look_for() {
    let ports = Ports::new([PortRange { first: 31000, last: 31009 }]);
    let offer = Offer {
        id: OfferId(4),
        agent: AgentId(3),
        agent_name: "größe".to_owned(),
        attributes: [("rack".to_owned(), "b7".to_owned())].into(),
        role: "default".to_owned(),
        resources: Resources::new(MilliCpu::new(1500), Bytes::from_mib(64), Bytes::ZERO).with_ports(ports),
        reserved: Vec::new(),
        volumes: Vec::new(),
        unavailability: None,
    };

    let told = told(FrameworkEvent::Offers(vec![offer]), Copes::default());

    let id = "000000000000000000000000000000ab";
    let of = |rest: &str| format!(r#"{rest},"role":"*","allocation_info":{{"role":"*"}}}}"#);
    let resources = [
        of(r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1.5}"#),
        of(r#"{"name":"mem","type":"SCALAR","scalar":{"value":64.0}"#),
        of(r#"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":31009}]}"#),
    ];
    let url = r#"{"scheme":"http","address":{"hostname":"gr\u00f6\u00dfe","ip":"0.0.0.0","port":0},"path":"/"}"#;
    let expected = format!(
        r#"{{"type":"OFFERS","offers":{{"offers":[{{"id":{{"value":"{id}-O4"}},"framework_id":{{"value":"{id}-0007"}},"agent_id":{{"value":"{id}-S3"}},"hostname":"gr\u00f6\u00dfe","url":{url},"resources":[{}],"attributes":[{{"name":"rack","type":"TEXT","text":{{"value":"b7"}}}}],"allocation_info":{{"role":"*"}}}}]}}}}"#,
        resources.join(",")
    );
    assert_eq!(told, expected);
}

#[test]
fn an_end_tells_our_reason_and_both_numbers_and_can_be_acknowledged() {
    let task = TaskId { framework: FrameworkId(7), number: 9 };
    let ending = Ending {
        state: TaskState::Failed,
        reason: Some(Reason::MemoryLimit),
        message: "wanted too much".to_owned(),
        exit_code: None,
        exceeded: Some(Exceeded { limit: 1 << 20, used: 2 << 20 }),
        usage: Usage::default(),
    };
    let status =
        TaskStatus { agent: Some(AgentId(3)), ..TaskStatus::ended(task, UpdateId(2), Source::Executor, ending) };

    let told = told(FrameworkEvent::Update(status), Copes::default());

    for part in [
        r#"{"type":"UPDATE","update":{"status":{"task_id":{"value":"t-1"},"state":"TASK_FAILED","#,
        r#""message":"MEMORY_LIMIT: wanted too much (limit 1048576, used 2097152)""#,
        r#""source":"SOURCE_EXECUTOR","reason":"REASON_CONTAINER_LIMITATION_MEMORY""#,
        r#""executor_id":{"value":"t-1"},"timestamp":1.5,"uuid":"AAAAAAAAAAIAAAAAAAAACQ==""#,
        r#""limitation":{"resources":[{"name":"mem","type":"SCALAR","scalar":{"value":1.0},"role":"*"}]}"#,
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn states_that_a_framework_does_not_know_are_told_in_those_that_it_knows() {
    let task = TaskId { framework: FrameworkId(7), number: task_number("t-1") };
    let told = |state, copes| {
        let status = TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, state, Source::Master);
        let told = told(FrameworkEvent::Update(status), copes);
        assert!(!told.contains("uuid") && told.contains("-S3"), "{told}");
        let (_, state) = told.split_once("\"state\":\"").unwrap();
        state.split_once('"').unwrap().0.to_owned()
    };
    let all = Copes { partition_aware: true, killing: true };

    for (state, plain, known) in [
        (TaskState::Killing, "TASK_RUNNING", "TASK_KILLING"),
        (TaskState::Unreachable, "TASK_LOST", "TASK_UNREACHABLE"),
        (TaskState::Gone, "TASK_LOST", "TASK_GONE"),
        (TaskState::Dropped, "TASK_LOST", "TASK_DROPPED"),
        (TaskState::Unknown, "TASK_LOST", "TASK_UNKNOWN"),
        (TaskState::Finished, "TASK_FINISHED", "TASK_FINISHED"),
    ] {
        assert_eq!((told(state, Copes::default()).as_str(), told(state, all).as_str()), (plain, known));
    }
}

#[test]
fn the_last_word_begins_as_mesos_writes_it() {
    let told = told(FrameworkEvent::Error("framework has been removed".to_owned()), Copes::default());

    assert_eq!(told, r#"{"type":"ERROR","error":{"message":"Framework has been removed"}}"#);
}
