//! Input that no client sends.

use haggle_master::Master;
use haggle_proto::v1::PrincipalKind;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::kit::{JSON, SCHEDULER, Scheduler, ask, authorization, master, task};
use crate::access::{create, wanted};
use crate::peers::Agent;

async fn others_are_served(master: &Master) {
    Scheduler::subscribe(master, json!({})).await.vanish();
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_so_is_one_of_a_stranger_to_the_session() {
    let master = master().await;
    let scheduler = Scheduler::subscribe(&master, json!({})).await;
    let authorization = authorization(&master);
    let post = async |stream: Option<&str>, bytes: usize| {
        let mut headers = vec![JSON, ("authorization", &*authorization)];
        headers.extend(stream.map(|stream| ("mesos-stream-id", stream)));
        ask(master.addr(), "POST", SCHEDULER, &headers, &vec![b' '; bytes]).await.code
    };
    let stream = Some(scheduler.stream_id.as_str());

    assert_eq!(post(None, (256 << 10) + 1).await, 413);
    assert_eq!(post(Some("none"), (256 << 10) + 1).await, 413);
    assert_eq!(post(stream, (4 << 20) + 1).await, 413);
    assert_eq!(post(stream, 3 << 20).await, 400, "a large body of a session is received, and is no JSON");
    others_are_served(&master).await;
}

#[tokio::test]
async fn a_body_that_stays_away_holds_up_nobody() {
    let master = master().await;
    let authorization = authorization(&master);
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = tokio::net::TcpStream::connect(master.addr()).await.unwrap();
        let head = format!(
            "POST {SCHEDULER} HTTP/1.1\r\nhost: m\r\nauthorization: {authorization}\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }

    others_are_served(&master).await;
}

#[tokio::test]
async fn large_bodies_that_trickle_on_all_sessions_of_one_hold_up_no_other() {
    let master = master().await;
    let token = create(&master, wanted(PrincipalKind::Framework, "slow", &["*"])).await.text;
    let bearer = format!("Bearer {token}");
    let (mut sessions, mut slow) = (Vec::new(), Vec::new());
    for _ in 0..64 {
        let session = Scheduler::subscribe_as(&master, bearer.clone(), json!({})).await;
        let mut stream = tokio::net::TcpStream::connect(master.addr()).await.unwrap();
        let head = format!(
            "POST {SCHEDULER} HTTP/1.1\r\nhost: m\r\nauthorization: {bearer}\r\ncontent-type: application/json\r\n\
             mesos-stream-id: {}\r\ncontent-length: 1000000\r\n\r\n",
            session.stream_id
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 300 << 10]).await.unwrap();
        slow.push(stream);
        sessions.push(session);
    }
    let other = Scheduler::subscribe(&master, json!({})).await;
    let authorization = authorization(&master);
    let headers = [JSON, ("authorization", &*authorization), ("mesos-stream-id", &*other.stream_id)];

    let answer = ask(master.addr(), "POST", SCHEDULER, &headers, &vec![b' '; 3 << 20]).await;

    assert_eq!(answer.code, 400, "it is received, and is no JSON");
}

#[tokio::test]
async fn many_sessions_come_and_go_and_leave_nothing() {
    let master = master().await;
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(Scheduler::subscribe(&master, json!({"failover_timeout": 0})).await);
    }

    for session in sessions {
        session.vanish();
    }

    let there =
        async || super::kit::get(&master, "/master/frameworks").await.json()["frameworks"].as_array().unwrap().len();
    while there().await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ids_of_nonsense_cost_the_session_nothing() {
    let master = master().await;
    let _agent = Agent::register(&master, None).await;
    let mut scheduler = Scheduler::subscribe(&master, json!({})).await;
    let offer = scheduler.offer().await;
    let nonsense = json!({"value": "../\u{0}\n💣"});

    for (kind, field, part) in [
        ("DECLINE", "decline", json!({"offer_ids": [nonsense]})),
        ("ACCEPT", "accept", json!({"offer_ids": [nonsense]})),
        ("ACKNOWLEDGE", "acknowledge", json!({"agent_id": nonsense, "task_id": nonsense, "uuid": "AAAA"})),
        ("KILL", "kill", json!({"task_id": nonsense})),
        ("SHUTDOWN", "shutdown", json!({"executor_id": nonsense, "agent_id": nonsense})),
        ("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers", json!({"inverse_offer_ids": [nonsense]})),
        ("MESSAGE", "message", json!({"agent_id": nonsense})),
        ("REQUEST", "requests", json!([])),
    ] {
        assert_eq!(scheduler.call(kind, field, part).await.code, 202, "{kind}");
    }

    let mut bad = task("x", &offer);
    bad["task_id"] = nonsense;
    scheduler.launch(&offer, &[bad]).await;
    loop {
        let status = scheduler.update().await;
        if status["state"] == "TASK_ERROR" {
            assert!(status["message"].as_str().unwrap().contains("task_id"), "{status}");
            break;
        }
    }
}
