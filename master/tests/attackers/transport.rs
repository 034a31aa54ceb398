//! Other protocols than the one that a master speaks, and connections that never become any.

use std::sync::Arc;

use haggle_master::{Config, Master};
use haggle_tls::{ConnectError, Connector};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;

use crate::kit::{ask, channel, loopback, master};

#[tokio::test]
async fn plain_text_to_the_port_of_tls_gets_no_answer() {
    let master = master().await;

    let plain = Endpoint::from_shared(format!("http://{}", master.addr())).unwrap().connect_lazy();
    ask(plain, Some(master.owner_token())).await.unwrap_err();
    let mut web = TcpStream::connect(master.addr()).await.unwrap();
    web.write_all(b"GET / HTTP/1.1\r\nhost: master\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = web.read_to_end(&mut answer).await;

    assert!(answer.is_empty(), "{answer:?}");
    ask(channel(&master, &master.owner_token().trust(), None), Some(master.owner_token())).await.unwrap();
}

#[tokio::test]
async fn tls_to_the_port_of_plain_text_says_so() {
    let secured = master().await;
    let config = Config { owner_tokens: None, ..Config::new(loopback()) };
    let plain = Master::start(config).await.unwrap();

    let connector = Connector::new(&secured.owner_token().trust(), None).unwrap();
    let error = connector.dial("127.0.0.1", plain.addr().port()).await.unwrap_err();

    assert!(matches!(error, ConnectError::NoTls { .. }), "{error}");
    assert!(error.to_string().contains("--tls"), "{error}");
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let master = master().await;
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let stream = TcpStream::connect(master.addr()).await.unwrap();

    let name = ServerName::try_from("master").unwrap();
    let refused = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap_err().to_string();

    assert!(refused.contains("ProtocolVersion"), "{refused}");
}
