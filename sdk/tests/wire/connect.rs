//! Finding the master.

use std::time::{Duration, SystemTime};

use haggle_sdk::{Client, ConnectError};
use tokio::net::TcpListener;

use crate::played::Played;

#[tokio::test]
async fn every_form_of_an_address_finds_the_master() {
    let played = Played::start().await;

    for url in [played.url(), format!("http://{}", played.url()), format!("http://{}/", played.url())] {
        let client = Client::connect(&url).await.unwrap();

        assert_eq!(client.url(), format!("http://{}", played.url()));
        let master = client.master().await.unwrap();
        assert_eq!((master.version.as_str(), master.uptime), ("played", Duration::from_millis(1500)));
        assert_eq!(master.time, SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_799_550_000)));
    }
}

#[tokio::test]
async fn a_text_that_is_no_address_is_refused_without_trying() {
    let error = Client::connect_within("not a master", Duration::from_secs(3600)).await.unwrap_err();

    assert!(matches!(error, ConnectError::BadUrl { .. }), "{error}");
    assert!(error.to_string().starts_with(r#""not a master" is not a master's address: wanted http://HOST:PORT"#));
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_where_and_why() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    let error = Client::connect_within(&free.to_string(), Duration::from_millis(50)).await.unwrap_err();

    let said = error.to_string();
    assert!(said.starts_with(&format!("no master answers at http://{free}, tried for 50ms: ")), "{said}");
    assert!(said.to_lowercase().contains("connection refused"), "{said}");
}

#[tokio::test]
async fn a_master_that_starts_a_moment_later_is_found() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let connecting =
        tokio::spawn(async move { Client::connect_within(&free.to_string(), Duration::from_secs(20)).await });
    // The first attempts find nobody.
    tokio::task::yield_now().await;

    let _played = Played::start_at(free, Default::default()).await;

    assert!(connecting.await.unwrap().is_ok());
}
