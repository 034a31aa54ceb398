//! The same port in HTTP/1.1, which has one page and no call.

use haggle_master::{Config, Master};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::loopback;

/// Far more than all buffers between the two ends have.
const FAR_TOO_MUCH: usize = 64 << 20;

async fn master() -> Master {
    Master::start(Config { owner_tokens: None, ..Config::new(loopback()) }).await.unwrap()
}

fn owners(master: &Master) -> String {
    format!("authorization: {}\r\n", *master.owner_token().bearer().authorization())
}

/// Says the pieces one by one until the master hears no more. What it answered, and whether it took all of them.
async fn say(master: &Master, pieces: impl Iterator<Item = String>) -> (String, bool) {
    let mut stream = TcpStream::connect(master.addr()).await.unwrap();
    let mut took_all = true;
    for piece in pieces {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            took_all = false;
            break;
        }
    }
    let mut answer = Vec::new();
    // What was not read resets the connection, and the answer with it.
    let _ = stream.read_to_end(&mut answer).await;
    (String::from_utf8_lossy(&answer).into_owned(), took_all)
}

async fn others_are_served(master: &Master) {
    let page = format!("GET /metrics HTTP/1.1\r\nhost: m\r\nconnection: close\r\n{}\r\n", owners(master));
    let (answer, _) = say(master, [page].into_iter()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off() {
    let master = master().await;
    let piece = "x".repeat(64 << 10);
    let begin = "GET /metrics HTTP/1.1\r\nhost: m\r\nx: ".to_owned();

    let endless = [begin].into_iter().chain(std::iter::repeat_n(piece.clone(), FAR_TOO_MUCH / piece.len()));
    let (answer, took_all) = say(&master, endless).await;

    assert!(!took_all && !answer.contains(" 200 "), "{answer}");
    others_are_served(&master).await;
}

#[tokio::test]
async fn headers_without_end_are_cut_off() {
    let master = master().await;
    let piece: String = (0..1_000).map(|number| format!("x{number}: y\r\n")).collect();
    let begin = "GET /metrics HTTP/1.1\r\nhost: m\r\n".to_owned();

    let endless = [begin].into_iter().chain(std::iter::repeat_n(piece.clone(), FAR_TOO_MUCH / piece.len()));
    let (answer, took_all) = say(&master, endless).await;

    assert!(!took_all && !answer.contains(" 200 "), "{answer}");
    others_are_served(&master).await;
}

#[tokio::test]
async fn calls_in_http_1_1_are_let_in_no_more_than_others() {
    let master = master().await;
    let call = |more: &str| {
        format!(
            "POST /haggle.v1.Operator/WhoAmI HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-type: application/grpc\r\n\
             content-length: 5\r\n{more}\r\n\0\0\0\0\0"
        )
    };

    let (nobody, _) = say(&master, [call("")].into_iter()).await;
    let (twice, _) = say(&master, [call("content-length: 9\r\n")].into_iter()).await;

    assert!(nobody.contains("grpc-status: 16"), "{nobody}");
    assert!(twice.starts_with("HTTP/1.1 400"), "{twice}");
    others_are_served(&master).await;
}

#[tokio::test]
async fn a_page_is_no_way_around_the_guard() {
    let master = master().await;

    for path in ["/metrics/", "//metrics", "/%6detrics", "/metrics?x", "/METRICS", "/./metrics", "http://m/metrics"] {
        let page = format!("GET {path} HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n");
        let (answer, _) = say(&master, [page].into_iter()).await;
        assert!(!answer.contains("haggle_agents"), "{path}: {answer}");
    }
    others_are_served(&master).await;
}
