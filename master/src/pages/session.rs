//! Logging in: a browser keeps the token as a cookie, and the guard is shown it as every other caller's.
//!
//! The cookie is sent by this site's own pages alone (`SameSite=Strict`), no script reads it, and what changes something is
//! taken from a page of this origin alone: so no other site acts in somebody's name.

use std::time::Instant;

use haggle_pages::layout::Layout;
use haggle_pages::link::Query;
use haggle_pages::views::{LoginPage, View};
use haggle_tls::Bearer;
use http_body_util::{BodyExt, Limited};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Pages;
use super::answer;
use crate::acceptor::Remote;
use crate::limits::LATE;

/// Bytes of a form that logs in: a token with the addresses of some masters.
const FORM_MAX: usize = 16 << 10;

/// How long a browser keeps it, in seconds; the token may end before.
const KEPT: u32 = 30 * 24 * 60 * 60;

/// A name that only a site in TLS may set, for itself and no host below it; in plain text, another.
const fn name(is_secured: bool) -> &'static str {
    if is_secured { "__Host-haggle" } else { "haggle" }
}

/// Whether somebody came by a cookie of ours alone.
pub(super) fn is_by_cookie(headers: &HeaderMap, is_secured: bool) -> bool {
    // The guard has taken what was shown out of the headers; the cookie is still there.
    cookie(headers, is_secured).is_some()
}

fn cookie(headers: &HeaderMap, is_secured: bool) -> Option<&str> {
    let said = headers.get_all(COOKIE).iter().filter_map(|said| said.to_str().ok());
    let mut pairs = said.flat_map(|said| said.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name(is_secured)).map(|(_, value)| value)
}

/// What a browser shows, as `authorization`. Nothing for what another site has it send.
pub(super) fn credentials(head: &Parts, is_secured: bool) -> Option<HeaderValue> {
    let token = cookie(&head.headers, is_secured)?;
    if !head.method.is_safe() && !is_of_this_origin(head, is_secured) {
        return None;
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a page of this very master sends it. Browsers always say so of what is sent.
fn is_of_this_origin(head: &Parts, is_secured: bool) -> bool {
    let host = head.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| head.headers.get(HOST)?.to_str().ok());
    let scheme = if is_secured { "https://" } else { "http://" };
    let origin = head.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()?.strip_prefix(scheme));
    let site = head.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    origin.is_some() && origin == host && site.is_none_or(|site| site == b"same-origin")
}

impl Pages {
    pub(super) fn login_page(&self, head: &Parts, next: &str, trouble: &str, code: StatusCode) -> Response<Body> {
        let page = LoginPage::new(next, trouble);
        if answer::Form::of(head) == answer::Form::Json {
            return answer::json(&page.json());
        }
        let title = page.title();
        let layout = Layout { title: &title, section: None, sections: &[], viewer: None, live: None };
        answer::html(code, layout.around(&page.content()))
    }

    pub(super) async fn log_in(&self, head: &Parts, body: Body) -> Result<Response<Body>, Status> {
        if !is_of_this_origin(head, self.is_secured) {
            return Err(Status::permission_denied("the page of another site may not log in here"));
        }
        let form = Limited::new(body, FORM_MAX).collect().await;
        let form = form.map_err(|_| Status::invalid_argument("the form is not whole, or too large"))?.to_bytes();
        let form = Query::parse(&String::from_utf8_lossy(&form));
        let next = LoginPage::new(form.get("next"), "");
        let shown: Result<Bearer, _> = form.get("token").trim().parse();
        let checked = shown.map_err(|not_one| Status::unauthenticated(not_one.to_string())).and_then(|bearer| {
            let authorization = bearer.authorization();
            self.guard.who_bears(authorization.as_bytes()).map(|_| authorization)
        });
        match checked {
            Ok(authorization) => {
                let token = authorization.trim_start_matches("Bearer ");
                let mut response = answer::see_other(next.next());
                response.headers_mut().insert(SET_COOKIE, kept(token, KEPT, self.is_secured));
                Ok(response)
            }
            Err(status) => {
                // Whoever guesses is not heard again as soon.
                if let Some(remote) = head.extensions.get::<Remote>() {
                    remote.valve.shut(Instant::now() + LATE);
                }
                Ok(self.login_page(head, next.next(), status.message(), StatusCode::UNAUTHORIZED))
            }
        }
    }

    pub(super) fn log_out(&self, head: &Parts) -> Response<Body> {
        let mut response = answer::see_other("/login");
        if is_of_this_origin(head, self.is_secured) {
            response.headers_mut().insert(SET_COOKIE, kept("", 0, self.is_secured));
        }
        response
    }
}

/// What a browser is to keep, and for how long.
fn kept(token: &str, seconds: u32, is_secured: bool) -> HeaderValue {
    let secure = if is_secured { "; Secure" } else { "" };
    let name = name(is_secured);
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let mut value = HeaderValue::from_str(&text).expect("a token is letters and digits");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use tonic::codegen::http::Request;

    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/tasks/task-1.1/kill");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_cookie_is_shown_for_a_page_and_only_ours() {
        let shown = |cookie: &str| credentials(&head("GET", &[("cookie", cookie)]), false);

        assert_eq!(shown("a=b; haggle=id.secret").unwrap(), "Bearer id.secret");
        assert_eq!(shown("xhaggle=id.secret; haggle-proxy=x"), None);
        assert_eq!(credentials(&head("GET", &[("cookie", "haggle=x")]), true), None, "in TLS it has another name");
        assert!(credentials(&head("GET", &[("cookie", "__Host-haggle=x")]), true).is_some());
    }

    #[test]
    fn no_script_and_no_other_site_has_the_cookie_and_in_tls_no_plain_text() {
        let shown = |is_secured| kept("id.secret", 60, is_secured).to_str().unwrap().to_owned();

        assert_eq!(shown(false), "haggle=id.secret; Path=/; HttpOnly; SameSite=Strict; Max-Age=60");
        assert_eq!(shown(true), "__Host-haggle=id.secret; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure");
    }

    #[test]
    fn what_another_site_sends_is_nobodys() {
        let send = |more: &[(&str, &str)]| {
            let headers = [&[("cookie", "haggle=x"), ("host", "127.0.0.1:5050")], more].concat();
            credentials(&head("POST", &headers), false).is_some()
        };

        assert!(send(&[("origin", "http://127.0.0.1:5050")]));
        assert!(send(&[("origin", "http://127.0.0.1:5050"), ("sec-fetch-site", "same-origin")]));
        assert!(!send(&[]), "a browser always names the origin of what is sent");
        for other in [
            "null",
            "http://evil.example",
            "https://127.0.0.1:5050",
            "http://127.0.0.1:5051",
            "http://127.0.0.1:5050.evil.example",
        ] {
            assert!(!send(&[("origin", other)]), "{other}");
        }
        assert!(!send(&[("origin", "http://127.0.0.1:5050"), ("sec-fetch-site", "same-site")]));
    }
}
