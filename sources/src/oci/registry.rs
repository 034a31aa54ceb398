//! One repository of a registry: asks it, and shows it a login or a token when it wants one.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::client::{Answer, Ask, Http, is_same_place};
use crate::error::SourceError;
use crate::logins::{IdentityToken, Logins, OfRegistry};
use crate::source::OciRef;

/// What a service of tokens may say.
const TOKEN_MAX: usize = 256 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) const HINT: &str = "~/.docker/config.json of the user that fetches has no login for it that it takes; `docker login` \
                               makes one, and so does an entry under auths";

/// One repository.
#[derive(Debug)]
pub(super) struct Registry {
    registry: String,
    base: Url,
    scope: String,
    logins: Logins,
    authorization: Option<HeaderValue>,
}

/// What it wants to see.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// As one service names it, or as OAuth 2 has it; some say both.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// `actions`: `pull`, or `pull,push`.
    pub(super) fn new(http: &Http, logins: &Logins, of: &OciRef, actions: &str) -> Result<Self, SourceError> {
        let OciRef { registry, repository, .. } = of;
        let garbled = || SourceError::Garbled { host: registry.clone(), what: "no URL".to_owned() };
        let secure = Url::parse(&format!("https://{registry}/")).map_err(|_| garbled())?;
        let host = secure.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = registry.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let scheme = if http.hosts().is_plain(&host, port) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{registry}/v2/{repository}/")).map_err(|_| garbled())?;
        Ok(Self {
            registry: registry.clone(),
            base,
            scope: format!("repository:{repository}:{actions}"),
            logins: logins.clone(),
            authorization: None,
        })
    }

    /// A URL of the repository.
    pub(super) fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("digests, tags and names of calls are paths")
    }

    /// Asks, at the second time with what the registry wants to see.
    pub(super) async fn ask(&mut self, http: &Http, ask: Ask) -> Result<Answer, SourceError> {
        let answer = http.follow(self.authorized(ask.clone()), None).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.filter_map(Challenge::parse).next() else { return Ok(answer) };
        let Some(authorization) = self.meet(http, challenge).await? else { return Ok(answer) };
        self.authorization = Some(authorization);
        http.follow(self.authorized(ask), None).await
    }

    /// With what was shown before, if it is for the registry.
    fn authorized(&self, ask: Ask) -> Ask {
        match &self.authorization {
            Some(value) if is_same_place(&ask.url, &self.base) => ask.with(AUTHORIZATION, value.clone()),
            _ => ask,
        }
    }

    async fn meet(&self, http: &Http, challenge: Challenge) -> Result<Option<HeaderValue>, SourceError> {
        let login = self.logins.of_registry(&self.registry).await?;
        let (realm, service, scope) = match challenge {
            Challenge::Basic => {
                return Ok(match login {
                    Some(OfRegistry::Login(login)) => Some(login.basic()),
                    // It is for a service of tokens, and there is none.
                    Some(OfRegistry::Identity(_)) | None => None,
                });
            }
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
        };
        let garbled = |what: String| SourceError::Garbled { host: self.registry.clone(), what };
        let realm = self.base.join(&realm).map_err(|_| garbled("where its tokens are as no URL".to_owned()))?;
        let scope = scope.unwrap_or_else(|| self.scope.clone());
        let by = Some(&*self.registry);
        let answer = match login {
            // It is in the body, which no redirect is to carry on to somebody else.
            Some(OfRegistry::Identity(token)) => http.send(refresh(realm, service, &scope, &token), by).await?,
            Some(OfRegistry::Login(login)) => {
                http.follow(ask_for(realm, service, &scope).with(AUTHORIZATION, login.basic()), by).await?
            }
            None => http.follow(ask_for(realm, service, &scope), by).await?,
        };
        let answer = answer.content("a token", HINT).await?;
        let host = answer.host.clone();
        let said = answer.body.all(&host, TOKEN_MAX).await?;
        // The error would show what is there.
        let token: Option<Token> = serde_json::from_slice(&said).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let token = token.ok_or_else(|| SourceError::Garbled { host: host.clone(), what: "no token".to_owned() })?;
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| SourceError::Garbled { host, what: "a token that is none".to_owned() })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// How a token is asked for, by the specification of registries.
fn ask_for(mut realm: Url, service: Option<String>, scope: &str) -> Ask {
    realm.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", scope);
    Ask::get(realm).with(ACCEPT, JSON)
}

/// The same for an identity token, by OAuth 2 as registries have it.
fn refresh(realm: Url, service: Option<String>, scope: &str, token: &IdentityToken) -> Ask {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", &token.0);
    form.append_pair("client_id", "haggle").append_pair("scope", scope);
    form.extend_pairs(service.map(|service| ("service", service)));
    let ask = Ask { method: Method::POST, body: form.finish().into(), ..Ask::get(realm) };
    ask.with(ACCEPT, JSON).with(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
}

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…"`, or `Basic …`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        let mut rest = rest.trim();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                "scope" => scope = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ']);
        }
        Some(Self::Bearer { realm: realm?, service, scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_wants_is_read() {
        let asked =
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;

        assert_eq!(
            Challenge::parse(asked),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".into(),
                service: Some("registry.example".into()),
                scope: Some("repository:a/b:pull,push".into()),
            })
        );
        assert_eq!(Challenge::parse(r#"basic realm="x""#), Some(Challenge::Basic));
        for wrong in ["", "Digest x", "Bearer", r#"Bearer realm="x"#, "Bearer service=x"] {
            assert_eq!(Challenge::parse(wrong), None, "{wrong}");
        }
    }
}
