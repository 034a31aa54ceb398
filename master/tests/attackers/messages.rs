//! Messages that are larger than they may be, or than they look.

use haggle_proto::v1::PrincipalKind;
use haggle_tls::Token;
use http_body_util::{BodyExt, Full};
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use crate::kit::{ask, channel, master, token};

/// What a call comes to whose message and further headers are made by hand.
async fn call(mut channel: Channel, path: &str, token: &Token, more: &[(&str, &str)], body: Vec<u8>) -> (Code, String) {
    let mut request = Request::post(format!("http://master/haggle.v1.{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", token.bearer().authorization().as_str());
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(Full::new(body.into()))).unwrap();
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.ok().and_then(|body| body.trailers().cloned()).unwrap_or_default();
    let told = |name: &str| head.headers.get(name).or_else(|| trailers.get(name)).map(|value| value.to_str().unwrap());
    let code = told("grpc-status").expect("there is a status").parse::<i32>().unwrap();
    (Code::from(code), told("grpc-message").unwrap_or_default().to_owned())
}

/// A message as it stands on the wire, of which the head says that it has so many bytes.
fn message(compressed: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![compressed];
    message.extend(length.to_be_bytes());
    message.extend(bytes);
    message
}

/// 64 MiB of zeros as gzip has them: a stored form is not needed, for nobody unpacks it.
fn bomb() -> Vec<u8> {
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    bomb.extend([0xec, 0xc0, 0x81, 0, 0, 0, 0, 0x80, 0xa0, 0xfd, 0xa9, 0x17].repeat(1_000));
    bomb
}

#[tokio::test]
async fn a_compressed_message_is_not_unpacked_whatever_the_call_says_of_it() {
    let master = master().await;
    let operator = token(&master, PrincipalKind::Operator, None).await;
    let bomb = bomb();
    let body = message(1, u32::try_from(bomb.len()).unwrap(), &bomb);
    for encoding in ["gzip", "deflate", "zstd", "identity", "br"] {
        for path in ["Operator/KillTask", "Frameworks/Session", "Artifacts/Upload"] {
            let channel = channel(&master, &operator.trust(), None);

            let (code, why) = call(channel, path, &operator, &[("grpc-encoding", encoding)], body.clone()).await;

            assert!(matches!(code, Code::Unimplemented | Code::Internal), "{path}, {encoding}: {code:?} {why}");
        }
    }
    ask(channel(&master, &operator.trust(), None), Some(&operator)).await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_what_its_head_says() {
    let master = master().await;
    let operator = token(&master, PrincipalKind::Operator, None).await;
    let over = |most: usize| u32::try_from(most).unwrap() + 1;
    for (path, length) in [
        ("Operator/KillTask", over(haggle_proto::MESSAGE_MAX)),
        ("Operator/KillTask", u32::MAX),
        ("Artifacts/Upload", over(haggle_proto::ARTIFACT_CHUNK + (4 << 10))),
        ("Artifacts/Upload", u32::MAX),
    ] {
        let channel = channel(&master, &operator.trust(), None);

        // None of it need come.
        let (code, why) = call(channel, path, &operator, &[], message(0, length, &[0; 64])).await;

        assert_eq!(code, Code::OutOfRange, "{path}, {length}: {why}");
    }
    ask(channel(&master, &operator.trust(), None), Some(&operator)).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_none_is_refused_and_changes_nothing() {
    let master = master().await;
    let operator = token(&master, PrincipalKind::Operator, None).await;
    for body in [
        // A field that is longer than the message.
        message(0, 3, &[0x0a, 0xff, 0x7f]),
        // A wire type that there is not.
        message(0, 1, &[0x07]),
        // Messages in messages without end.
        message(0, 4_000, &[0x0b; 4_000]),
        // A number of eleven bytes.
        message(0, 12, &[&[0x08][..], &[0xff; 11]].concat()),
    ] {
        let channel = channel(&master, &operator.trust(), None);

        let (code, why) = call(channel, "Operator/KillTask", &operator, &[], body).await;

        assert!(matches!(code, Code::Internal | Code::InvalidArgument), "{code:?} {why}");
    }
    ask(channel(&master, &operator.trust(), None), Some(&operator)).await.unwrap();
}

#[tokio::test]
async fn a_deadline_and_other_headers_that_are_none_are_no_way_in_and_no_way_out() {
    let master = master().await;
    let operator = token(&master, PrincipalKind::Operator, None).await;
    for more in [
        ("grpc-timeout", "99999999999999999H"),
        ("grpc-timeout", "-1S"),
        ("content-length", "5"),
        ("grpc-accept-encoding", "gzip,bomb"),
    ] {
        let channel = channel(&master, &operator.trust(), None);

        let (code, why) = call(channel, "Operator/WhoAmI", &operator, &[more], message(0, 0, &[])).await;

        assert!(matches!(code, Code::Ok | Code::InvalidArgument | Code::Internal), "{more:?}: {code:?} {why}");
    }
    let nobody = call(
        channel(&master, &operator.trust(), None),
        "Operator/WhoAmI",
        &token(&master, PrincipalKind::Agent, None).await,
        &[("x-forwarded-for", "127.0.0.1"), ("haggle-owner", "owner")],
        message(0, 0, &[]),
    )
    .await;
    assert_eq!(nobody.0, Code::PermissionDenied);
}
