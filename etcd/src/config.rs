//! Where an etcd is, and how it can fail.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tonic::transport::Uri;

/// Where an etcd cluster is, and who we are there.
#[derive(Clone)]
pub struct EtcdConfig {
    /// The URLs of its members, `http` or `https`: all of them the same.
    pub urls: Vec<String>,
    /// Everything is kept below this key, so that several clusters can share one etcd.
    pub prefix: String,
    /// The user's name and password, where etcd asks for them.
    pub user: Option<(String, String)>,
    /// The certificates of who signed the members', in PEM. `None`: the well-known authorities.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate and its key in PEM, where etcd asks for them.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl EtcdConfig {
    /// Where keys are put when nothing else is said.
    pub const PREFIX: &'static str = "/haggle";

    /// An etcd cluster that asks for nothing, under the default prefix.
    pub fn new(urls: Vec<String>) -> Self {
        Self { urls, prefix: Self::PREFIX.to_owned(), user: None, ca: None, identity: None }
    }

    /// A member on another machine that is spoken to in plain text: whoever is on the way reads and changes what is said.
    pub fn in_plain_text(&self) -> Option<&str> {
        self.urls.iter().map(String::as_str).find(|url| {
            let Ok(url) = url.parse::<Uri>() else { return false };
            url.scheme_str() == Some("http") && !url.host().is_some_and(is_loopback)
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for EtcdConfig {
    type Err = EtcdError;

    /// Reads `etcd://HOST:PORT[,HOST:PORT…]/KEY`: members that speak plain HTTP, and the key below which everything is.
    fn from_str(place: &str) -> Result<Self, EtcdError> {
        let wrong = |why: &str| EtcdError::Config {
            url: place.to_owned(),
            why: format!("wanted etcd://HOST:PORT/KEY, or several HOST:PORT joined by commas: {why}"),
        };
        let rest = place.strip_prefix("etcd://").ok_or_else(|| wrong("it does not begin with etcd://"))?;
        let (hosts, key) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.split(',').any(str::is_empty) {
            return Err(wrong("a host is missing"));
        }
        if key.split('/').any(str::is_empty) {
            return Err(wrong("the key is missing, or a part of it"));
        }
        let urls = hosts.split(',').map(|host| format!("http://{host}")).collect();
        Ok(Self { prefix: format!("/{key}"), ..Self::new(urls) })
    }
}

impl fmt::Debug for EtcdConfig {
    /// Without password and key: it may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|(name, _)| name);
        f.debug_struct("EtcdConfig")
            .field("urls", &self.urls)
            .field("prefix", &self.prefix)
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

/// Why etcd cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EtcdError {
    /// A URL, a certificate or a key is not one.
    #[error("etcd {url}: {why}")]
    Config {
        /// Which member.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// No member answered in time, or none that has a majority.
    #[error("no etcd member answers: {url}: {why}")]
    Unreachable {
        /// The last one asked.
        url: String,
        /// What it said.
        why: String,
    },
    /// It has no room left.
    #[error("etcd is full: {0}")]
    Full(String),
    /// The lease that something was to be put under is over.
    #[error("the lease has ended in etcd")]
    LeaseEnded,
    /// It refuses.
    #[error("etcd {url} refuses: {why}")]
    Refused {
        /// Which member.
        url: String,
        /// What it said.
        why: String,
    },
    /// It says something that makes no sense.
    #[error("{0} in etcd cannot be read: {1}")]
    Unreadable(String, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_the_members_and_the_key() {
        let config: EtcdConfig = "etcd://a:2379,b:2379/haggle/replicated".parse().unwrap();

        assert_eq!(config.urls, ["http://a:2379", "http://b:2379"]);
        assert_eq!(config.prefix, "/haggle/replicated");
    }

    #[test]
    fn a_member_elsewhere_in_plain_text_is_told_from_one_here_and_from_tls() {
        let plain = |url: &str| EtcdConfig::new(vec![url.to_owned()]).in_plain_text().is_some();

        let here = ["http://127.0.0.1:2379", "http://localhost:2379", "http://[::1]:2379", "https://10.0.0.1:2379"];
        assert_eq!(here.map(plain), [false; 4]);
        assert_eq!(["http://10.0.0.1:2379", "http://etcd:2379"].map(plain), [true; 2]);
    }

    #[test]
    fn a_place_that_lacks_something_says_what() {
        let refused = |place: &str| place.parse::<EtcdConfig>().unwrap_err().to_string();

        for keyless in ["etcd://a:2379", "etcd://a:2379/", "etcd://a:2379/x/"] {
            assert!(refused(keyless).ends_with("the key is missing, or a part of it"), "{}", refused(keyless));
        }
        assert!(refused("etcd://a:1,,b:1/x").ends_with("a host is missing"));
        assert!(refused("http://a/x").ends_with("it does not begin with etcd://"));
    }
}
