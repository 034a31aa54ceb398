//! How answers look on the wire: their form, and what every one of them forbids a browser.

use bytes::Bytes;
use haggle_pages::assets;
use http_body_util::Full;
use serde_json::Value;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
};
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderValue, Response, StatusCode};

/// Nothing from elsewhere, nothing within a frame, no form that leads away.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
);

/// In which form somebody wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
    /// The same again whenever it is another.
    Stream,
}

impl Form {
    /// By the end of the address, or by what is accepted: whoever takes HTML gets it, unless it also takes a stream.
    pub(super) fn of(head: &Parts) -> Self {
        if head.uri.path().ends_with(".json") {
            return Self::Json;
        }
        let accepts = |kind: &str| {
            let said = head.headers.get_all(ACCEPT).iter();
            said.filter_map(|said| said.to_str().ok()).any(|said| said.contains(kind))
        };
        match (accepts("text/event-stream"), accepts("text/html"), accepts("application/json")) {
            (true, ..) => Self::Stream,
            (false, false, true) => Self::Json,
            _ => Self::Html,
        }
    }
}

pub(super) fn html(code: StatusCode, page: String) -> Response<Body> {
    whole(code, "text/html; charset=utf-8", page.into())
}

pub(super) fn json(value: &Value) -> Response<Body> {
    let mut text = haggle_pages::text::printable_json(value.to_string());
    text.push('\n');
    whole(StatusCode::OK, "application/json", text.into())
}

/// To another page, by reading it.
pub(super) fn see_other(address: &str) -> Response<Body> {
    let mut response = whole(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new());
    let address = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, address);
    response
}

fn whole(code: StatusCode, kind: &'static str, content: Bytes) -> Response<Body> {
    begun(code, kind, Body::new(Full::new(content)))
}

/// An answer of which the body may still be under way.
pub(super) fn begun(code: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept, cookie"));
    headers.insert(HeaderName::from_static("content-security-policy"), POLICY);
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    // A form tells where it is of, and nobody else hears of it.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A file that every page may load: kept by the browser, for its address changes with it.
pub(super) fn asset(name: &str, head: &Parts) -> Result<Response<Body>, Status> {
    let asset = assets::find(name).ok_or_else(|| Status::not_found("there is no such file"))?;
    let tag = HeaderValue::from_str(&format!("\"{}\"", assets::version())).expect("digits are a header");
    let is_known = head.headers.get(IF_NONE_MATCH) == Some(&tag);
    let mut response = match is_known {
        true => whole(StatusCode::NOT_MODIFIED, asset.kind, Bytes::new()),
        false => whole(StatusCode::OK, asset.kind, Bytes::from_static(asset.content)),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(ETAG, tag);
    headers.remove(VARY);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use tonic::codegen::http::Request;

    use super::*;

    #[test]
    fn an_answer_has_the_form_that_was_asked_for() {
        let form = |address: &str, accept: &str| {
            Form::of(&Request::builder().uri(address).header(ACCEPT, accept).body(()).unwrap().into_parts().0)
        };

        assert_eq!(form("/tasks", "text/html,application/xhtml+xml,*/*;q=0.8"), Form::Html);
        assert_eq!(form("/tasks", "*/*"), Form::Html);
        assert_eq!(form("/tasks", "application/json"), Form::Json);
        assert_eq!(form("/tasks.json?q=a", "*/*"), Form::Json);
        assert_eq!(form("/tasks", "text/html, text/event-stream"), Form::Stream);
    }
}
