//! Who becomes an agent, and who stays one.

use haggle_core::AgentId;
use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::join_client::JoinClient;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::v1::{PrincipalKind, agent_order};
use haggle_tls::{Identity, PrivateKey};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::kit::{
    ask, bearing, channel, join, joined, loopback, master, master_in, of_another_authority, renew, token,
};

#[tokio::test]
async fn a_machine_joins_with_a_token_and_is_known_by_its_certificate() {
    let master = master().await;

    let credentials = joined(&master).await;

    let channel = channel(&master, &credentials.trust(), Some(Identity::new(&credentials)));
    let resources = v1::Resources { milli_cpus: 1_000, mem_bytes: 1 << 30, ..Default::default() };
    let info = v1::AgentInfo { name: "joined".to_owned(), resources: Some(resources), ..Default::default() };
    let register = v1::RegisterAgent { info: Some(info), key: vec![7; 16], run: 1, ..Default::default() };
    let report = v1::AgentReport { report: Some(Report::Register(register)) };
    let reports = tokio_stream::once(v1::AgentReports { reports: vec![report] }).chain(tokio_stream::pending());
    let mut orders = AgentsClient::new(channel).session(reports).await.unwrap().into_inner();
    let first = orders.message().await.unwrap().unwrap().orders.remove(0).order.unwrap();
    let agent_order::Order::Registered(registered) = first else { panic!("{first:?}") };
    assert_eq!(registered.member.unwrap().id, credentials.member().id.0);
}

#[tokio::test]
async fn the_same_key_joins_once_and_another_one_not_at_all() {
    let master = master().await;
    let token = token(&master, PrincipalKind::Agent, Some(1)).await;
    let key = PrivateKey::generate();

    let first = join(&master, &token, &key).await.unwrap();
    let again = join(&master, &token, &key).await.unwrap();
    let other = join(&master, &token, &PrivateKey::generate()).await.unwrap_err();

    assert_eq!(first.member(), again.member());
    assert_eq!(other.code(), Code::Unauthenticated);
    assert!(other.message().contains("used up"), "{other}");
}

#[tokio::test]
async fn only_a_join_token_lets_an_agent_join() {
    let master = master().await;
    for kind in [PrincipalKind::Framework, PrincipalKind::Operator, PrincipalKind::Viewer] {
        let token = token(&master, kind, None).await;

        let refused = join(&master, &token, &PrivateKey::generate()).await.unwrap_err();

        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
}

#[tokio::test]
async fn a_join_token_does_nothing_else() {
    let master = master().await;
    let token = token(&master, PrincipalKind::Agent, None).await;

    let refused = ask(channel(&master, &token.trust(), None), Some(&token)).await.unwrap_err();

    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_before_the_token_is_used() {
    let master = master().await;
    let token = token(&master, PrincipalKind::Agent, Some(1)).await;
    let mut client = JoinClient::new(channel(&master, &token.trust(), None));
    for request in [Vec::new(), b"nothing".to_vec(), vec![0x30; 5_000]] {
        let refused = client.enroll(bearing(&token, v1::EnrollRequest { request })).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }

    join(&master, &token, &PrivateKey::generate()).await.unwrap();
}

#[tokio::test]
async fn nobody_joins_in_plain_text() {
    let config = Config { owner_tokens: None, ..Config::new(loopback()) };
    let master = Master::start(config).await.unwrap();
    let token = token(&master, PrincipalKind::Agent, None).await;

    let refused = join(&master, &token, &PrivateKey::generate()).await.unwrap_err();

    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("--tls"), "{refused}");
}

#[tokio::test]
async fn a_certificate_is_renewed_for_its_key_alone_and_without_a_token() {
    let master = master().await;
    let credentials = joined(&master).await;
    let certificate = credentials.certificate().der();

    let renewed = renew(&master, certificate, credentials.key().request()).await.unwrap();
    let other_key = renew(&master, certificate, PrivateKey::generate().request()).await.unwrap_err();
    let garbage = renew(&master, b"nothing", credentials.key().request()).await.unwrap_err();

    assert_eq!(renewed.member.unwrap().id, credentials.member().id.0);
    assert_ne!(renewed.certificate, certificate.to_vec());
    assert_eq!((other_key.code(), garbage.code()), (Code::Unauthenticated, Code::InvalidArgument));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_renewed() {
    let master = master().await;
    let stranger = of_another_authority(&master, AgentId(1));

    let refused = renew(&master, stranger.certificate().der(), stranger.key().request()).await.unwrap_err();

    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("must join anew"), "{refused}");
}

#[tokio::test]
async fn an_agent_that_was_removed_neither_renews_nor_comes_back() {
    let master = master().await;
    let credentials = joined(&master).await;
    let owner = master.owner_token();
    let id = credentials.member().id.0;
    let remove = v1::RemoveAgentRequest { agent: id, ..Default::default() };
    OperatorClient::new(channel(&master, &owner.trust(), None)).remove_agent(bearing(owner, remove)).await.unwrap();

    let refused = renew(&master, credentials.certificate().der(), credentials.key().request()).await.unwrap_err();

    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("was removed"), "{refused}");
}

#[tokio::test]
async fn an_agent_that_joined_renews_after_the_master_was_started_anew() {
    let state = tempfile::tempdir().unwrap();
    let first = master_in(state.path()).await;
    let credentials = joined(&first).await;
    first.stop().await;

    let second = master_in(state.path()).await;

    renew(&second, credentials.certificate().der(), credentials.key().request()).await.unwrap();
    let known = channel(&second, &credentials.trust(), None);
    ask(known, Some(second.owner_token())).await.unwrap();
}
