//! Names that would lead elsewhere, end early, or have a terminal do something.

use haggle_proto::v1;
use haggle_proto::v1::PrincipalKind;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::framework_event::Event;
use haggle_proto::v1::frameworks_client::FrameworksClient;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_tls::Token;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::kit::{ask, bearing, channel, master, token};

/// None of these is a name of anything.
const NAMES: [&str; 7] = ["../x", "a/../b", "a\0b", "\0", "\u{1b}[2J", "a\r\nb", "\u{7f}"];

/// What a framework hears first.
async fn subscribe(master: &haggle_master::Master, token: &Token, name: &str, role: &str) -> Result<Event, Status> {
    let info = v1::FrameworkInfo { name: name.to_owned(), roles: vec![role.to_owned()], ..Default::default() };
    let subscribe = v1::Subscribe { info: Some(info), ..Default::default() };
    let call = v1::FrameworkCall { call: Some(Call::Subscribe(subscribe)), ..Default::default() };
    let calls = tokio_stream::once(v1::FrameworkCalls { calls: vec![call] }).chain(tokio_stream::pending());
    let mut client = FrameworksClient::new(channel(master, &token.trust(), None));
    let mut events = client.session(bearing(token, calls)).await?.into_inner();
    Ok(events.message().await?.unwrap().events.remove(0).event.unwrap())
}

#[tokio::test]
async fn a_token_has_no_such_name_and_no_such_role() {
    let master = master().await;
    let owner = master.owner_token();
    for name in NAMES {
        let ask = |request| {
            let mut client = OperatorClient::new(channel(&master, &owner.trust(), None));
            async move { client.create_token(bearing(owner, request)).await }
        };
        let kind = PrincipalKind::Framework.into();
        let role = v1::CreateTokenRequest { kind, roles: vec![name.to_owned()], ..Default::default() };

        assert_eq!(ask(role).await.unwrap_err().code(), Code::InvalidArgument, "{name:?}");

        // Of a path it is only a name.
        if !name.contains('/') {
            let named = v1::CreateTokenRequest { kind, name: name.to_owned(), ..Default::default() };
            let refused = ask(named).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{name:?}");
            assert!(!refused.message().contains(char::is_control), "it is told escaped: {:?}", refused.message());
        }
    }
}

#[tokio::test]
async fn a_framework_has_no_such_name_and_no_such_role() {
    let master = master().await;
    let framework = token(&master, PrincipalKind::Framework, None).await;
    for name in NAMES {
        let mut tried = vec![("good", name)];
        if !name.contains('/') {
            tried.push((name, "good"));
        }
        for (name, role) in tried {
            let told = match subscribe(&master, &framework, name, role).await {
                Ok(Event::Error(why)) => why,
                Ok(other) => panic!("{name:?} in {role:?} was let in: {other:?}"),
                Err(status) => status.message().to_owned(),
            };
            assert!(!told.contains(char::is_control), "it is told escaped: {told:?}");
        }
    }
    let event = subscribe(&master, &framework, "good", "good").await.unwrap();
    assert!(matches!(event, Event::Subscribed(_)), "{event:?}");
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_no_call() {
    let master = master().await;
    let owner = master.owner_token();
    for path in [
        "/haggle.v1.Operator/../Operator/WhoAmI",
        "/haggle.v1.Operator/WhoAmI/",
        "//haggle.v1.Operator/WhoAmI",
        "/HAGGLE.V1.Operator/WhoAmI",
        "/haggle.v1.Operator/WhoAmI%00",
        "/haggle.v1.Operator%2FWhoAmI",
    ] {
        let mut client = tonic::client::Grpc::new(channel(&master, &owner.trust(), None));
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<v1::WhoAmIRequest, v1::Principal>::default();

        let answer = client.unary(bearing(owner, v1::WhoAmIRequest {}), path.parse().unwrap(), codec).await;

        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
    ask(channel(&master, &owner.trust(), None), Some(owner)).await.unwrap();
}
