//! Outgoing HTTP by grant.

use std::io::{Read, Write};
use std::time::Duration;

use haggle_core::{Bytes, Reason};

use super::server::{Server, read_head};
use super::{granted, launch, run};
use crate::kit::Bench;

const PATIENCE: Duration = Duration::from_secs(60);

fn url(server: &Server) -> String {
    format!("http://{}/", server.address)
}

fn grant(server: &Server) -> String {
    format!("http:{}", server.address)
}

#[test]
fn a_request_is_answered_and_all_of_it_counted() {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let server = Server::http(response);

    let report = run("fetch", &[&grant(&server)], &[&url(&server)]);

    report.assert_finished();
    assert_eq!((report.text(), report.stderr.as_slice()), ("hello", b"status 200\n".as_slice()));
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    assert_eq!(report.ending.usage.net, Bytes::new((request.len() + response.len()) as u64));
}

#[test]
fn a_body_is_sent_and_one_in_pieces_is_read() {
    let server = Server::tcp(|mut stream| {
        let head = read_head(&mut stream).to_lowercase();
        assert!(head.starts_with("post / ") && head.contains("transfer-encoding: chunked"), "{head}");
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).unwrap();
            body.extend_from_slice(&piece[..read]);
        }
        let length = body.iter().filter(|&&byte| byte == b'x').count().to_string();
        let chunk = format!("{:x}\r\n{length}\r\n0\r\n\r\n", length.len());
        stream.write_all(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        stream.write_all(chunk.as_bytes()).unwrap();
    });

    let report = run("fetch", &[&grant(&server)], &[&url(&server), "POST", &"x".repeat(30_000)]);

    report.assert_finished();
    assert_eq!((report.text(), report.stderr.as_slice()), ("30000", b"status 201\n".as_slice()));
}

#[test]
fn what_is_not_granted_is_refused_before_anything_is_sent() {
    let server = Server::http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let port = server.port();
    let other = grant(&Server::http(""));
    let here = format!("http:127.0.0.1:{port}");
    let for_sockets = format!("net:127.0.0.1:{port}");
    for (grant, url, says) in [
        (other.as_str(), url(&server), "HttpRequestDenied"),
        ("http:127.0.0.1", url(&server), "HttpRequestDenied"),
        (&for_sockets, url(&server), "HttpRequestDenied"),
        (&here, format!("http://localhost:{port}/"), "HttpRequestDenied"),
        (&here, format!("http://[::1]:{port}/"), "HttpRequestDenied"),
        (&here, format!("http://127.0.0.1:{port}@evil.example/"), "HttpRequestUriInvalid"),
    ] {
        let report = run("fetch", &[grant], &[&url]);

        report.assert_says(says);
        assert_eq!(report.ending.usage.net, Bytes::ZERO);
    }
    run("fetch", &[&here], &[&url(&server), "CONNECT"]).assert_says("HttpRequestMethodInvalid");
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_granted_name_that_leads_to_loopback_is_not_asked() {
    let server = Server::http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let host = format!("2130706433:{}", server.port());

    let report = run("fetch", &[&format!("http:{host}")], &[&format!("http://{host}/")]);

    report.assert_says("DestinationIpProhibited");
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_redirect_is_an_answer_and_not_an_order() {
    let secret = Server::http("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret");
    let response = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", url(&secret));
    let server = Server::http(response);

    let report = run("fetch", &[&grant(&server)], &[&url(&server)]);

    report.assert_finished();
    assert_eq!((report.text(), report.stderr.as_slice()), ("", b"status 302\n".as_slice()));
    assert_eq!(secret.asked(), 0);
}

#[test]
fn who_speaks_no_tls_is_not_believed() {
    let server = Server::tcp(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });

    let report = run("fetch", &[&grant(&server)], &[&format!("https://{}/", server.address)]);

    report.assert_says("TlsProtocolError");
}

#[test]
fn endless_headers_are_not_read_to_their_end() {
    let server = Server::tcp(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-more: 0123456789abcdef0123456789abcdef\r\n").is_ok() {}
    });

    let report = run("fetch", &[&grant(&server)], &[&url(&server)]);

    report.assert_says("HttpProtocolError");
    assert!(report.ending.usage.net <= Bytes::from_mib(1), "{}", report.ending.usage.net);
}

#[test]
fn an_endless_body_ends_at_the_output_limit_and_waits_for_its_reader_until_then() {
    let server = Server::tcp(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 64 << 10]).is_ok() {}
    });

    let report = run("fetch", &[&grant(&server)], &[&url(&server)]);

    report.assert_limited(Reason::OutputLimit, 1 << 20);
    assert!(report.ending.usage.net <= Bytes::from_mib(2), "{}", report.ending.usage.net);
}

#[test]
fn a_server_that_never_answers_holds_nobody_beyond_the_time_limit() {
    let (server, said) = Server::silent();
    let bench = Bench::new();
    let mut spec = granted(&[&grant(&server)], &[&url(&server)]);
    spec.limits.time = Some(Duration::from_millis(300));

    let id = launch(&bench, "fetch", spec);
    let report = bench.report(id);

    report.assert_limited(Reason::TimeLimit, 300);
    assert_eq!(said.recv_timeout(PATIENCE), Ok("connected"));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("closed"));
}
