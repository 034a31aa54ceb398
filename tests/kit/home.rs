//! A user's home: what belongs to one user on one machine, as far as Haggle can tell.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use haggle_sdk::{Client, ClientBuilder, ConnectError, OwnerTokens};
use haggle_tls::{Authorized, Loopback, Pass};
use haggle_upgrade::Upgrading;
use tokio::net::TcpStream;

use crate::wine;

/// Folders of a user of their own, below one folder. Compiled modules are shared with everybody.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// The home below this folder.
    pub fn below(folder: &Path) -> Self {
        Self(folder.join("home"))
    }

    /// Has a program run as this user, without a word of who started it.
    pub fn take_in(&self, command: &mut Command) {
        for (variable, folder) in [("XDG_STATE_HOME", self.0.join("state")), ("XDG_CONFIG_HOME", self.config())] {
            command.env(variable, wine::shown(&folder, command));
        }
        for variable in [
            "HAGGLE_MASTER",
            "HAGGLE_TOKEN",
            "HAGGLE_JOIN",
            "HAGGLE_ARTIFACT_HOSTS",
            "HAGGLE_ARTIFACT_CA",
            "TRACEPARENT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "NO_PROXY",
            "no_proxy",
        ] {
            command.env_remove(variable);
        }
        self.take_logins_in(command);
    }

    /// Where this user's other tools keep logins: `.docker/config.json`, `.aws/config` and so on.
    pub fn logins(&self, file: &str) -> PathBuf {
        self.0.join("logins").join(file)
    }

    fn take_logins_in(&self, command: &mut Command) {
        for (variable, file) in [
            ("DOCKER_CONFIG", ".docker"),
            ("NETRC", ".netrc"),
            ("AWS_CONFIG_FILE", ".aws/config"),
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        ] {
            command.env(variable, wine::shown(&self.logins(file), command));
        }
        for (variable, _) in std::env::vars_os() {
            let is_aws = variable.to_str().is_some_and(|name| name.starts_with("AWS_") && !name.ends_with("_FILE"));
            if is_aws {
                command.env_remove(variable);
            }
        }
    }

    /// The folder of the user's configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// What this user's masters have left.
    pub fn owner_tokens(&self) -> OwnerTokens {
        OwnerTokens::in_folder(self.0.join("state/haggle/masters"))
    }

    /// A connection on which every call shows what the master at this URL has left for this user.
    ///
    /// # Panics
    /// When the URL names no port of this machine.
    pub fn show<S>(&self, url: &str, connection: S) -> Authorized<S> {
        Pass::owner(&self.owner_tokens(), loopback(url)).show(connection)
    }

    /// A connection for one session with the master at this URL, as agents have it.
    ///
    /// # Errors
    /// When nobody listens there.
    ///
    /// # Panics
    /// When the URL names no port of this machine.
    pub async fn for_session(&self, url: &str) -> io::Result<Authorized<Upgrading<TcpStream>>> {
        let host = url.strip_prefix("http://").expect("a URL of a master on this machine");
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(self.show(url, Upgrading::new(stream, host).expect("a host can be said in a header")))
    }

    /// A connection to a master of this user's.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connect(&self, url: &str) -> Result<Client, ConnectError> {
        self.client(url).connect().await
    }

    /// The same, before it is made.
    pub fn client(&self, url: &str) -> ClientBuilder {
        Client::builder().master(url).owner_tokens(self.owner_tokens())
    }
}

/// Where a master of this machine is, by its URL.
///
/// # Panics
/// When it is none of this machine.
pub fn loopback(url: &str) -> Loopback {
    let (_, address) = url.split_once("://").unwrap_or(("", url));
    let named = address.rsplit_once(':').and_then(|(host, port)| Loopback::of(host, port.parse().ok()?));
    named.expect("the URL names a port of this machine")
}
