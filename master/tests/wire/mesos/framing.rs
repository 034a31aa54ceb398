//! Records, chunks, headers and heartbeats.

use std::time::{Duration, Instant};

use serde_json::json;

use super::kit::{JSON, SCHEDULER, Scheduler, Stream, ask, authorization, master};
use crate::peers::Agent;

#[tokio::test]
async fn a_stream_has_the_headers_that_clients_look_for() {
    let master = master().await;

    let scheduler = Scheduler::subscribe(&master, json!({})).await;

    let headers = &scheduler.stream.headers;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["mesos-stream-id"].len(), 36);
    assert!(!headers.contains_key("content-length"), "{headers:?}");
}

#[tokio::test]
async fn behind_each_burst_comes_a_heartbeat_and_each_record_is_a_chunk() {
    let master = master().await;
    let _agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;

    let mut heard = Vec::new();
    while heard.last().is_none_or(|kind| kind != "OFFERS") {
        heard.push(scheduler.stream.event().await.unwrap()["type"].as_str().unwrap().to_owned());
    }

    assert_eq!(heard[0], "HEARTBEAT", "{heard:?}");
    assert_eq!(scheduler.stream.event().await.unwrap()["type"], "HEARTBEAT");
}

#[tokio::test]
async fn a_silent_stream_says_that_it_lives_well_within_ten_seconds() {
    let master = master().await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    scheduler.stream.hears("HEARTBEAT").await;
    let began = Instant::now();

    scheduler.stream.hears("HEARTBEAT").await;

    let silent = began.elapsed();
    assert!(silent < Duration::from_secs(9), "{silent:?}");
}

#[tokio::test]
async fn whoever_speaks_protobuf_is_answered_in_it() {
    let master = master().await;
    let authorization = authorization(&master);
    // Of Google's own library: Call(type=SUBSCRIBE, subscribe=Subscribe(framework_info=FrameworkInfo(user="root", name="go"))).
    let call = b"\x10\x01\x1a\x0c\x0a\x0a\x0a\x04root\x12\x02go";
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("accept", "application/recordio"),
        ("message-accept", "application/x-protobuf"),
        ("authorization", &*authorization),
    ];

    let mut stream = Stream::open(master.addr(), SCHEDULER, &headers, call).await;

    assert_eq!(stream.headers["content-type"], "application/x-protobuf");
    let subscribed = stream.record().await.unwrap();
    assert!(subscribed.starts_with(b"\x08\x01\x12"), "{subscribed:?}");
    assert_eq!(stream.record().await.unwrap(), b"\x08\x08", "a heartbeat");
}

#[tokio::test]
async fn what_nobody_speaks_is_told_as_mesos_tells_it() {
    let master = master().await;
    let authorization = authorization(&master);
    let code = async |method: &str, headers: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = [("authorization", &*authorization)].iter().chain(headers).copied().collect();
        ask(master.addr(), method, SCHEDULER, &headers, body.as_bytes()).await.code
    };
    let subscribe = r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}"#;

    assert_eq!(code("GET", &[], "").await, 405);
    assert_eq!(code("POST", &[], subscribe).await, 400, "no content type");
    assert_eq!(code("POST", &[("content-type", "text/xml")], subscribe).await, 415);
    assert_eq!(code("POST", &[JSON, ("accept", "text/html")], subscribe).await, 406);
    assert_eq!(code("POST", &[JSON], "{}").await, 400);
    assert_eq!(code("POST", &[JSON], "no json").await, 400);
    assert_eq!(code("POST", &[JSON, ("mesos-stream-id", "x")], subscribe).await, 400);
    assert_eq!(code("POST", &[JSON], r#"{"type":"TEARDOWN","framework_id":{"value":"x"}}"#).await, 400, "no stream");
}

#[tokio::test]
async fn a_principal_and_its_token_are_shown_as_user_and_password() {
    use crate::access::{create, wanted};
    use haggle_proto::v1::PrincipalKind;

    let master = master().await;
    let token = create(&master, wanted(PrincipalKind::Framework, "ci", &["eng"])).await.text;
    let basic = format!("Basic {}", base64(&format!("ci:{token}")));

    let scheduler = Scheduler::subscribe_as(&master, basic.clone(), json!({"role": "eng"})).await;
    let mut other = Scheduler::stream(&master, &basic, json!({"role": "ops"})).await;
    let nobody = ask(master.addr(), "POST", SCHEDULER, &[JSON], b"{}").await;

    assert!(scheduler.framework["value"].as_str().unwrap().ends_with("-0001"));
    let refused = other.event().await.unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("ops"), "{refused}");
    other.ends().await;
    assert_eq!(nobody.code, 401);
    assert!(nobody.headers["www-authenticate"].starts_with("Basic"), "{nobody:?}");
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(text)
}
