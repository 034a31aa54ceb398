//! How a refusal is told to whoever speaks HTTP and no gRPC.

use bytes::Bytes;
use http_body_util::Full;
use tonic::body::Body;
use tonic::codegen::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use tonic::codegen::http::{HeaderValue, Method, Response, StatusCode};
use tonic::{Code, Status};

/// A page is read, and nothing else can be done with it. Else the answer says so.
pub(crate) fn check_method(method: &Method) -> Option<Response<Body>> {
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not GET"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

/// The same answer, its status in HTTP's terms and its message as text.
pub(crate) fn plain(response: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok);
    let Some(status) = status else { return response };
    let code = match status.code() {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut plain = text(code, status.message().to_owned());
    if code == StatusCode::UNAUTHORIZED {
        plain.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"haggle\""));
    }
    plain
}

fn text(code: StatusCode, mut message: String) -> Response<Body> {
    message.push('\n');
    let mut response = Response::new(Body::new(Full::new(Bytes::from(message))));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
