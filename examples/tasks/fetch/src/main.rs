//! Sends one HTTP request and prints the response: `fetch URL [METHOD [BODY]]`.
//!
//! A component, since WASI 0.1 knows no HTTP. Which hosts it reaches is up to `haggle run --allow-http HOST`.

use std::io::{self, Write};
use std::process::ExitCode;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

/// As much as is read at once.
const PIECE: u64 = 16 << 10;

fn main() -> ExitCode {
    support::run(|args| match args {
        [url] => fetch(url, "GET", None),
        [url, method] => fetch(url, method, None),
        [url, method, body] => fetch(url, method, Some(body)),
        _ => Err("usage: fetch URL [METHOD [BODY]]".to_string()),
    })
}

fn fetch(url: &str, method: &str, body: Option<&str>) -> Result<(), String> {
    let response = send(&Url::parse(url)?, method, body)?;
    eprintln!("status {}", response.status());
    let body = response.consume().map_err(|()| "the response has no body")?;
    let stream = body.stream().map_err(|()| "the body was taken already")?;
    copy(&stream, &mut io::stdout().lock())
}

/// What an address on the web consists of, as far as a request needs it.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    secure: bool,
    authority: &'a str,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(format!("{text:?} begins neither with http:// nor with https://")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self { secure, authority, path: if path.is_empty() { "/" } else { path } })
    }
}

fn send(url: &Url, method: &str, body: Option<&str>) -> Result<IncomingResponse, String> {
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if url.secure { Scheme::Https } else { Scheme::Http };
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_string()),
    };
    request.set_method(&method).map_err(|()| "this is no method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "this is no scheme")?;
    request.set_authority(Some(url.authority)).map_err(|()| "this is no host")?;
    request.set_path_with_query(Some(url.path)).map_err(|()| "this is no path")?;
    let Some(body) = body else { return wait(&handle(request, None).map_err(|error| refused(&error))?) };
    let outgoing = request.body().map_err(|()| "the request has no body")?;
    let response = handle(request, None).map_err(|error| refused(&error))?;
    let stream = outgoing.write().map_err(|()| "the body was taken already")?;
    for piece in body.as_bytes().chunks(4096) {
        stream.blocking_write_and_flush(piece).map_err(|error| format!("sending the body: {error:?}"))?;
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).map_err(|error| refused(&error))?;
    wait(&response)
}

fn wait(response: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    response.subscribe().block();
    let ready = response.get().ok_or("the response is not ready")?;
    ready.map_err(|()| "the response was taken already")?.map_err(|error| refused(&error))
}

fn refused(error: &ErrorCode) -> String {
    format!("{error:?}")
}

fn copy(from: &InputStream, to: &mut impl Write) -> Result<(), String> {
    loop {
        match from.blocking_read(PIECE) {
            Ok(piece) => to.write_all(&piece).map_err(|error| error.to_string())?,
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(format!("the response breaks off: {}", error.to_debug_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = Url::parse("https://api.example:8443/a?b=c").unwrap();
        assert_eq!(url, Url { secure: true, authority: "api.example:8443", path: "/a?b=c" });

        let bare = Url::parse("http://api.example").unwrap();
        assert_eq!(bare, Url { secure: false, authority: "api.example", path: "/" });

        assert!(Url::parse("ftp://api.example").is_err());
    }
}
