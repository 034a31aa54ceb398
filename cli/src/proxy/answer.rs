//! What the proxy itself answers, in the words of whoever asks: as gRPC, or as any other HTTP.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use super::Answer;
use super::door::TurnedAway;

/// Codes of gRPC.
const UNAVAILABLE: &str = "14";
const UNAUTHENTICATED: &str = "16";
const PERMISSION_DENIED: &str = "7";

/// Whether it is gRPC that asks.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// To who is not let in.
pub(super) fn turned_away(asking: &HeaderMap, why: &TurnedAway) -> Answer {
    let (status, code) = match why {
        TurnedAway::Stranger => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED),
        TurnedAway::UsedUp => (StatusCode::GONE, UNAUTHENTICATED),
        TurnedAway::OtherSite | TurnedAway::OtherHost => (StatusCode::FORBIDDEN, PERMISSION_DENIED),
    };
    if is_grpc(asking) {
        return grpc(code, &why.to_string());
    }
    let mut answer = text(status, &why.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let asks = HeaderValue::from_static("Basic realm=\"haggle proxy: the password is its token\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, asks);
    }
    answer
}

/// To a browser that showed a ticket: it keeps the cookie, and goes on from a page of this port, so that the cookie comes along.
pub(super) fn entered(cookie: &str) -> Answer {
    let page = "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0; url=/\"><title>Haggle</title><a href=\"/\">Haggle</a>";
    let mut answer = text(StatusCode::OK, page);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(mut cookie) = HeaderValue::from_str(cookie) {
        cookie.set_sensitive(true);
        headers.insert(SET_COOKIE, cookie);
    }
    answer
}

/// To who asked a master that cannot be reached.
pub(super) fn unreachable(is_grpc: bool, why: &str) -> Answer {
    if is_grpc { grpc(UNAVAILABLE, why) } else { text(StatusCode::BAD_GATEWAY, why) }
}

fn grpc(code: &'static str, message: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(code));
    headers.insert("grpc-message", percent_encoded(message));
    answer
}

fn text(status: StatusCode, message: &str) -> Answer {
    let body = Full::new(Bytes::from(format!("{message}\n")));
    let mut answer = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// As gRPC wants a message in a header.
fn percent_encoded(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(kind: Option<&'static str>) -> HeaderMap {
        kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))).into_iter().collect()
    }

    #[test]
    fn grpc_hears_a_status_and_others_a_code_of_http() {
        let of_grpc = turned_away(&asking(Some("application/grpc+proto")), &TurnedAway::Stranger);
        assert_eq!((of_grpc.status(), of_grpc.headers()["grpc-status"].as_bytes()), (StatusCode::OK, &b"16"[..]));

        let of_http = turned_away(&asking(None), &TurnedAway::Stranger);
        assert_eq!(of_http.status(), StatusCode::UNAUTHORIZED);
        assert!(of_http.headers().contains_key(WWW_AUTHENTICATE));
        let of_a_page = turned_away(&asking(Some("text/plain")), &TurnedAway::OtherSite);
        assert_eq!(of_a_page.status(), StatusCode::FORBIDDEN);
        assert!(!of_a_page.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(unreachable(false, "away").status(), StatusCode::BAD_GATEWAY);
    }

    #[test]
    fn a_message_is_one_header_whatever_it_says() {
        assert_eq!(percent_encoded("100 % ä\r\nx"), "100 %25 %C3%A4%0D%0Ax");
    }
}
