//! Who may use the port: whoever shows the token that was drawn for it.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use haggle_tls::{Bearer, Secret, Token, TokenId};
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request};
use zeroize::Zeroizing;

/// Lets in whoever has the token, and nobody that a stranger's page sends.
pub(crate) struct Door {
    id: TokenId,
    /// Hashes are compared, so that how long a comparison takes tells nothing.
    hash: [u8; 32],
    /// What a browser is let in by, once, and keeps then.
    ticket: Mutex<Option<Ticket>>,
}

struct Ticket {
    hash: [u8; 32],
    cookie: Zeroizing<String>,
}

/// Where a browser comes in with a ticket.
const ENTRANCE: &str = "/haggle-proxy/enter";

/// The name under which a browser keeps the token of this port.
const COOKIE_NAME: &str = "haggle-proxy";

/// Why a request is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error(
        "this port carries whoever shows its token: the commands of the user that runs `haggle proxy` find it by themselves, \
         curl shows it by -H @FILE as that command has printed, and a browser by its password"
    )]
    Stranger,
    #[error("the address that `haggle ui` printed is good once, and was used: run `haggle ui` again")]
    UsedUp,
    #[error("the page of another site may not use this port in your name")]
    OtherSite,
    #[error("the request is for another host than this machine's loopback")]
    OtherHost,
}

impl Door {
    pub(crate) fn new(token: &Token) -> Self {
        Self { id: token.id, hash: token.secret.digest(), ticket: Mutex::new(None) }
    }

    /// Lets a browser in that shows this ticket, once.
    pub(crate) fn with_ticket(self, token: &Token, ticket: &Secret) -> Self {
        let bearer = token.bearer().authorization();
        let shown = bearer.trim_start_matches("Bearer ");
        let cookie = Zeroizing::new(format!("{COOKIE_NAME}={shown}; Path=/; HttpOnly; SameSite=Strict"));
        let ticket = Some(Ticket { hash: ticket.digest(), cookie });
        Self { ticket: Mutex::new(ticket), ..self }
    }

    /// Where that browser is to go.
    pub(crate) fn entrance(ticket: &Secret) -> String {
        format!("{ENTRANCE}?{}", BASE64_URL_SAFE_NO_PAD.encode(ticket.bytes()))
    }

    /// `None` when nobody wants to come in by a ticket; else the cookie to keep, or why not. Whoever sends the browser there
    /// knows the ticket.
    pub(crate) fn enter<B>(&self, request: &Request<B>) -> Option<Result<Zeroizing<String>, TurnedAway>> {
        if request.uri().path() != ENTRANCE {
            return None;
        }
        let host = request.uri().authority().cloned().or_else(|| host_of(request.headers()));
        if !host.as_ref().is_some_and(is_loopback) {
            return Some(Err(TurnedAway::OtherHost));
        }
        let shown = request.uri().query().and_then(|shown| BASE64_URL_SAFE_NO_PAD.decode(shown).ok());
        let shown = shown.and_then(|shown| <[u8; 32]>::try_from(shown).ok()).map(Secret::new);
        let mut ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
        let is_its = |ticket: &mut Ticket| shown.is_some_and(|shown| same(&ticket.hash, &shown));
        Some(ticket.take_if(is_its).map(|ticket| ticket.cookie).ok_or(TurnedAway::UsedUp))
    }

    /// # Errors
    /// When the request is not carried.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), TurnedAway> {
        let headers = request.headers();
        // A name that a stranger's server gives to this address would make its pages those of this port.
        let host = request.uri().authority().cloned().or_else(|| host_of(headers));
        if !host.as_ref().is_some_and(is_loopback) {
            return Err(TurnedAway::OtherHost);
        }
        // A browser adds the password by itself, whoever's page asks.
        if is_of_another_site(headers, host.as_ref()) {
            return Err(TurnedAway::OtherSite);
        }
        let shown = match headers.get(AUTHORIZATION) {
            Some(value) => value.to_str().ok().and_then(|shown| Bearer::from_authorization(shown).ok()),
            None => cookie_of(headers).and_then(|value| value.parse().ok()),
        };
        if shown.is_some_and(|bearer| self.is_its(&bearer)) { Ok(()) } else { Err(TurnedAway::Stranger) }
    }

    fn is_its(&self, bearer: &Bearer) -> bool {
        bearer.id == self.id && same(&self.hash, &bearer.secret)
    }
}

fn same(hash: &[u8; 32], secret: &Secret) -> bool {
    hash.iter().zip(secret.digest()).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
}

/// What a browser keeps since it came in by a ticket.
fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let said = headers.get_all(COOKIE).iter().filter_map(|said| said.to_str().ok());
    let mut pairs = said.flat_map(|said| said.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

fn host_of(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// What browsers say of who has them ask. Other programs say nothing.
fn is_of_another_site(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    // Another port of this machine is the same site, and may be another user's.
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    origin.is_none() || origin != host.map(Authority::as_str)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use haggle_core::ClusterId;
    use haggle_tls::TokenKind;

    use super::*;

    fn token() -> Token {
        Token {
            kind: TokenKind::Owner,
            cluster: ClusterId(7),
            addresses: vec!["127.0.0.1:8080".to_owned()],
            authority: None,
            id: TokenId::random(),
            secret: Secret::random(),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
        }
    }

    fn check(door: &Door, headers: &[(&str, &str)]) -> Result<(), TurnedAway> {
        let mut request = Request::builder().uri("/any");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        door.check(&request.body(()).unwrap())
    }

    #[test]
    fn whoever_shows_the_token_is_let_in_and_nobody_else() {
        let (token, other) = (token(), token());
        let door = Door::new(&token);
        let here = ("host", "127.0.0.1:8080");
        let shows = |value: &str| check(&door, &[here, ("authorization", value)]);

        assert_eq!(shows(&token.bearer().authorization()), Ok(()));
        assert_eq!(shows(&format!("Bearer {}", *token.text())), Ok(()));
        assert_eq!(check(&door, &[here]), Err(TurnedAway::Stranger));
        for wrong in [other.bearer().authorization().as_str(), "Bearer x", "Basic !", "Basic", "", "\u{1f}"] {
            if wrong.chars().all(|letter| !letter.is_control()) {
                assert_eq!(shows(wrong), Err(TurnedAway::Stranger), "{wrong}");
            }
        }
        let mut mixed = token;
        mixed.secret = other.secret;
        assert_eq!(shows(&mixed.bearer().authorization()), Err(TurnedAway::Stranger));
    }

    #[test]
    fn a_browser_shows_the_token_as_a_password() {
        let token = token();
        let door = Door::new(&token);

        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("me:{}", *token.text())));

        assert_eq!(check(&door, &[("host", "localhost:8080"), ("authorization", &basic)]), Ok(()));
    }

    #[test]
    fn a_browser_comes_in_by_a_ticket_once_and_by_its_cookie_from_then_on() {
        let (token, ticket) = (token(), Secret::random());
        let door = Door::new(&token).with_ticket(&token, &ticket);
        let enter = |ticket: &Secret, host: &str| {
            let request = Request::builder().uri(Door::entrance(ticket)).header("host", host);
            // A file of this machine leads there, which is another site.
            door.enter(&request.header("sec-fetch-site", "cross-site").body(()).unwrap()).unwrap()
        };

        assert_eq!(enter(&Secret::random(), "127.0.0.1:8080").unwrap_err(), TurnedAway::UsedUp);
        assert_eq!(enter(&ticket, "evil.example").unwrap_err(), TurnedAway::OtherHost);
        let cookie = enter(&ticket, "127.0.0.1:8080").unwrap();
        assert_eq!(enter(&ticket, "127.0.0.1:8080").unwrap_err(), TurnedAway::UsedUp);

        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"));
        let kept = cookie.split(';').next().unwrap();
        let here = ("host", "127.0.0.1:8080");
        assert_eq!(check(&door, &[here, ("cookie", &format!("a=b; {kept}"))]), Ok(()));
        assert_eq!(
            check(&door, &[here, ("cookie", kept), ("sec-fetch-site", "cross-site")]),
            Err(TurnedAway::OtherSite)
        );
        assert_eq!(check(&door, &[here, ("cookie", "haggle-proxy=x")]), Err(TurnedAway::Stranger));
    }

    #[test]
    fn the_pages_of_other_sites_and_other_names_for_this_address_are_turned_away() {
        let token = token();
        let door = Door::new(&token);
        let shown = token.bearer().authorization();
        let of = |host: &str, more: &[(&str, &str)]| {
            check(&door, &[&[("host", host), ("authorization", shown.as_str())], more].concat())
        };

        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
            let own = format!("http://{host}");
            assert_eq!(of(host, &[("origin", &own), ("sec-fetch-site", "same-origin")]), Ok(()));
            assert_eq!(of(host, &[("sec-fetch-site", "none")]), Ok(()));
            for other in ["cross-site", "same-site", "anything"] {
                assert_eq!(of(host, &[("sec-fetch-site", other)]), Err(TurnedAway::OtherSite));
            }
            for other in ["http://evil.example", "null", "https://127.0.0.1:8080", "http://127.0.0.1:9"] {
                assert_eq!(of(host, &[("origin", other)]), Err(TurnedAway::OtherSite));
            }
        }
        for host in ["evil.example:8080", "10.0.0.1:8080", "", "localhost.evil.example"] {
            assert_eq!(of(host, &[]), Err(TurnedAway::OtherHost), "{host}");
        }
    }
}
