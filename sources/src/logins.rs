//! Logins, where docker, AWS's tools and curl keep them.

mod aws;
mod docker;
mod netrc;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use crate::error::SourceError;

/// Finds logins: in the environment of this process, and in the folder of its user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logins {
    docker: Option<PathBuf>,
    netrc: Option<PathBuf>,
    aws: aws::Files,
    /// Whether variables say more of AWS.
    reads_variables: bool,
}

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// What docker keeps for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OfRegistry {
    /// For the registry itself, or whoever gives tokens for it.
    Login(Login),
    /// For whoever gives tokens for it alone: it stands for a login that is kept nowhere.
    Identity(IdentityToken),
}

/// A token for which others are given, by OAuth 2: a refresh token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdentityToken(pub(crate) String);

/// An object store, and the key to it.
pub(crate) struct Place {
    pub(crate) endpoint: Url,
    pub(crate) region: String,
    /// `None`: what everybody may read.
    pub(crate) key: Option<Key>,
}

/// A key of an object store.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Logins {
    pub(crate) fn of_environment() -> Self {
        let home = ["HOME", "USERPROFILE"].into_iter().find_map(|name| variable(name).map(PathBuf::from));
        let below = |name: &str| home.as_ref().map(|home| home.join(name));
        Self {
            docker: variable("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| below(".docker"))
                .map(|f| f.join("config.json")),
            netrc: variable("NETRC").map(PathBuf::from).or_else(|| below(".netrc")),
            aws: aws::Files {
                credentials: variable("AWS_SHARED_CREDENTIALS_FILE")
                    .map(PathBuf::from)
                    .or_else(|| below(".aws/credentials")),
                config: variable("AWS_CONFIG_FILE").map(PathBuf::from).or_else(|| below(".aws/config")),
            },
            reads_variables: true,
        }
    }

    /// What lies in a user's folder, and nothing else.
    pub(crate) fn below(home: &Path) -> Self {
        Self {
            docker: Some(home.join(".docker/config.json")),
            netrc: Some(home.join(".netrc")),
            aws: aws::Files {
                credentials: Some(home.join(".aws/credentials")),
                config: Some(home.join(".aws/config")),
            },
            reads_variables: false,
        }
    }

    /// For a registry, as docker has it.
    pub(crate) async fn of_registry(&self, registry: &str) -> Result<Option<OfRegistry>, SourceError> {
        match &self.docker {
            Some(file) => docker::login(file, registry).await,
            None => Ok(None),
        }
    }

    /// For a web server, as curl's netrc has it. None for one in plain text elsewhere: everybody on the way would read it.
    pub(crate) fn of_web(&self, url: &Url) -> Result<Option<Login>, SourceError> {
        let (Some(file), Some(host)) = (&self.netrc, url.host_str()) else { return Ok(None) };
        if url.scheme() != "https" && host != "localhost" && host != "127.0.0.1" {
            return Ok(None);
        }
        netrc::login(file, host)
    }

    /// The object store that the environment or the profile names.
    pub(crate) fn store(&self) -> Result<Place, SourceError> {
        aws::store(&self.aws, |name| variable(name).filter(|_| self.reads_variables))
    }
}

impl Login {
    /// For a header. It shows nowhere.
    pub(crate) fn basic(&self) -> HeaderValue {
        let text = format!("Basic {}", STANDARD.encode(format!("{}:{}", self.name, self.password)));
        let mut value = HeaderValue::from_str(&text).expect("base64 fits into a header");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdentityToken").finish_non_exhaustive()
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The text of a file; `None` when there is none.
fn text_of(file: &Path) -> Result<Option<String>, SourceError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        // A folder that this user may not enter holds nothing of this user's.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) => {
            Ok(None)
        }
        Err(error) => Err(SourceError::Login(format!("cannot read {}: {error}", file.display()))),
    }
}
