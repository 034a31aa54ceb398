//! Who a program is to its master, and what it does when it is turned away.

use std::time::{Duration, SystemTime};

use haggle_sdk::{
    AgentId, CallError, Client, ConnectError, Event, Framework, FrameworkInfo, NewToken, Token, TokenKind,
};
use haggle_tls::{Fingerprint, OwnerTokens, Secret, TokenId};
use tokio::net::TcpListener;

use crate::played::{CLUSTER, Played};

/// A token of the master that is played, which speaks plain text.
fn token(played: &Played) -> Token {
    Token {
        kind: TokenKind::Operator,
        cluster: CLUSTER,
        addresses: vec![played.url()],
        authority: None,
        id: TokenId([1; 8]),
        secret: Secret::random(),
        expires: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
    }
}

fn admit(played: &Played, token: &Token) {
    *played.stage.admits.lock().unwrap() = Some(token.bearer());
}

fn info() -> FrameworkInfo {
    FrameworkInfo { name: "f".to_owned(), roles: vec!["default".to_owned()], failover_timeout: Duration::from_secs(20) }
}

#[tokio::test]
async fn a_token_says_where_the_master_is_and_is_shown_on_every_call() {
    let mut played = Played::start().await;
    let token = token(&played);
    admit(&played, &token);

    let client = Client::builder().token(token).connect().await.unwrap();

    assert_eq!(client.whoami().await.unwrap().name, "played");
    let joining = tokio::spawn(async move { Framework::connect(&client, info()).await });
    played.session().await.welcome().await;
    joining.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_turned_away_hears_so_at_once_and_in_the_masters_words() {
    let played = Played::start().await;
    admit(&played, &token(&played));

    let stranger = Client::builder().token(token(&played)).connect().await.unwrap();

    let error = stranger.agents().await.unwrap_err();
    assert!(matches!(&error, CallError::Unauthenticated(why) if why == "who is that?"), "{error}");
    let error = Framework::connect(&stranger, info()).await.unwrap_err();
    assert!(matches!(&error, CallError::Unauthenticated(_)), "{error}");
    assert_eq!(*played.stage.turned_away.lock().unwrap(), 2, "nothing is tried again");
}

#[tokio::test]
async fn what_one_may_not_do_is_another_error() {
    let played = Played::start().await;
    let client = Client::connect(&played.url()).await.unwrap();

    let error = client.remove_agent(AgentId(403)).await.unwrap_err();

    assert!(matches!(&error, CallError::NotAllowed(why) if why.contains("may not")), "{error}");
}

#[tokio::test]
async fn the_token_that_a_master_has_left_for_its_user_is_found_and_found_anew() {
    let mut played = Played::start().await;
    let first = token(&played);
    admit(&played, &first);
    let folder = tempfile::tempdir().unwrap();
    let tokens = OwnerTokens::in_folder(folder.path().join("masters"));
    tokens.publish(played.address, &first).unwrap();
    let client = Client::builder().master(played.url()).owner_tokens(tokens.clone()).connect().await.unwrap();
    assert_eq!(client.whoami().await.unwrap().name, "played");
    let joining = tokio::spawn({
        let client = client.clone();
        async move { Framework::connect(&client, info()).await }
    });
    let mut session = played.session().await;
    session.welcome().await;
    let (_framework, mut events) = joining.await.unwrap().unwrap();

    // The master is started anew, on the same port and with another token.
    let second = token(&played);
    admit(&played, &second);
    tokens.publish(played.address, &second).unwrap();
    session.fail(tonic::Status::unavailable("it stops")).await;
    let back = tokio::spawn(async move { [events.next().await, events.next().await] });
    played.session().await.welcome().await;

    let [lost, back] = back.await.unwrap();
    assert!(matches!(lost, Some(Event::Disconnected(_))), "{lost:?}");
    assert!(matches!(back, Some(Event::Subscribed(_))), "{back:?}");
    assert_eq!(client.whoami().await.unwrap().name, "played", "calls find the new one, too");
}

#[tokio::test]
async fn a_master_of_another_machine_is_not_spoken_to_without_a_token() {
    for url in ["192.0.2.1:5050", "https://127.0.0.1:1", "http://master.example"] {
        let error = Client::connect_within(url, Duration::from_secs(3600)).await.unwrap_err();

        assert!(matches!(error, ConnectError::NoToken { .. }), "{error}");
        assert!(error.to_string().contains("haggle token create"), "{error}");
    }
}

#[tokio::test]
async fn a_master_that_does_not_prove_itself_is_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let played = Played::start().await;
    let token = Token { authority: Some(Fingerprint([7; 32])), addresses: vec![address.clone()], ..token(&played) };
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        // An answer that is no TLS ends the handshake.
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut heard).await;
        heard
    });
    let secret = token.bearer().authorization().to_string();

    let client = Client::builder().token(token).patience(Duration::from_millis(1)).connect().await;

    let error = client.unwrap_err().to_string();
    assert!(error.contains(&address), "{error}");
    let heard = heard.await.unwrap();
    let secret = secret.rsplit('.').next().unwrap().as_bytes();
    assert!(!heard.windows(secret.len()).any(|part| part == secret));
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let played = Played::start().await;
    let client = Client::connect(&played.url()).await.unwrap();
    *played.stage.answers_lost.lock().unwrap() = 1;
    let new = NewToken {
        kind: TokenKind::Framework,
        name: "ci".to_owned(),
        roles: vec!["ci/*".to_owned()],
        ttl: Some(Duration::from_secs(60)),
        uses: None,
    };

    let made = client.create_token(&new).await.unwrap();
    let tokens = client.tokens().await.unwrap();
    client.revoke_token(made.info.id).await.unwrap();

    assert_eq!((made.text.as_str(), &made.info.principal.roles), ("hgl1.played", &new.roles));
    assert_eq!(made.info.expires.duration_since(made.info.made).unwrap(), Duration::from_secs(60));
    assert_eq!(tokens, std::slice::from_ref(&made.info), "it was made once, though it was asked for twice");
    assert!(client.tokens().await.unwrap().is_empty());
    let requests = played.stage.requests.lock().unwrap();
    assert_eq!(requests[0], requests[1], "under one name");
}
