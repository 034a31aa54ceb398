//! The proxy that requests go through, as variables of the environment name it for other tools.

use std::env;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use haggle_core::addresses::is_reserved;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::SourceError;
use crate::hosts::Target;

/// The proxies that the environment names, and whom it names to be spoken to without one. Cheap enough to clone.
///
/// Read are `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, and where these are not set the same in lower case, as programs in Go
/// read them. Nobody is asked by a proxy for an address of this machine or its link: there it would mean its own.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `https`. What is wrong is told to whoever wants to be connected.
    tls: Option<Result<Proxy, NoProxy>>,
    /// For `http`, likewise.
    plain: Option<Result<Proxy, NoProxy>>,
    direct: Vec<Direct>,
}

/// A variable that names no proxy.
#[derive(Clone, Copy, Debug)]
struct NoProxy(&'static str);

/// Who makes connections for others.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) target: Target,
    /// What it is shown. It prints as nothing.
    pub(crate) login: Option<HeaderValue>,
}

/// Whom to speak to without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    Everybody,
    /// `10.0.0.0/8`, or one address.
    Network {
        address: IpAddr,
        bits: u8,
        port: Option<u16>,
    },
    /// `.domain`: the names below. `host`: that one too.
    Name {
        /// In lower case, without the dot before it.
        name: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// Those of this process's environment.
    pub fn of_environment() -> Self {
        Self::of(|name| env::var(name).ok())
    }

    /// Those of these variables.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &'static str| {
            let of = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
            of(name).or_else(|| of(&name.to_ascii_lowercase()))
        };
        let proxy = |name| set(name).map(|url| Proxy::of(&url).ok_or(NoProxy(name)));
        let direct = set("NO_PROXY").unwrap_or_default();
        // Like other tools, passes over what it does not understand: a proxy more is no harm.
        let direct = direct.split(',').filter_map(|entry| entry.trim().parse().ok()).collect();
        Self { tls: proxy("HTTPS_PROXY"), plain: proxy("HTTP_PROXY"), direct }
    }

    /// By whom somebody is reached.
    pub(crate) fn by(&self, target: &Target) -> Result<Option<&Proxy>, SourceError> {
        let proxy = if target.tls { &self.tls } else { &self.plain };
        let proxy =
            proxy.as_ref().filter(|_| !target.is_here() && !self.direct.iter().any(|direct| direct.names(target)));
        let proxy = proxy.map(Result::as_ref).transpose();
        proxy.map_err(|NoProxy(variable)| SourceError::NoProxy { variable })
    }
}

impl Proxy {
    fn of(text: &str) -> Option<Self> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).ok()?;
        let target = Target::of(&url)?;
        let read = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (name, password) => {
                let login = format!("{}:{}", read(name)?, read(password.unwrap_or_default())?);
                let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(login))).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Some(Self { target, login })
    }
}

impl Direct {
    fn names(&self, target: &Target) -> bool {
        match self {
            Self::Everybody => true,
            Self::Network { address, bits, port } => {
                let is_in = target.host.parse().is_ok_and(|host: IpAddr| is_within(host, *address, *bits));
                is_in && port.is_none_or(|port| port == target.port)
            }
            Self::Name { name, itself, port } => {
                let rest = target.host.strip_suffix(name.as_str());
                let is_it = rest.is_some_and(|rest| if rest.is_empty() { *itself } else { rest.ends_with('.') });
                is_it && port.is_none_or(|port| port == target.port)
            }
        }
    }
}

/// Whether an address begins with the same bits as another.
fn is_within(host: IpAddr, network: IpAddr, bits: u8) -> bool {
    let bits_of = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let ((length, host), (other, network)) = (bits_of(host), bits_of(network));
    let rest = u32::from(length - bits.min(length));
    length == other && host.checked_shr(rest).unwrap_or(0) == network.checked_shr(rest).unwrap_or(0)
}

impl FromStr for Direct {
    type Err = ();

    fn from_str(entry: &str) -> Result<Self, ()> {
        if entry == "*" {
            return Ok(Self::Everybody);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address: IpAddr = address.parse().map_err(drop)?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse().ok().filter(|bits| *bits <= most).ok_or(())?;
            return Ok(Self::Network { address, bits, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            // An address of version 6 has colons of its own.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().map_err(drop)?))
            }
            _ => (entry, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Self::Network { address, bits: 128, port });
        }
        let below = host.strip_prefix('*').unwrap_or(&host);
        let (name, itself) = match below.strip_prefix('.') {
            Some(name) => (name.to_owned(), false),
            None => (host, true),
        };
        if name.is_empty() { Err(()) } else { Ok(Self::Name { name, itself, port }) }
    }
}

impl Target {
    /// Whether it is named as an address of this machine, its link or its provider's services.
    fn is_here(&self) -> bool {
        self.known_addresses().is_some_and(|known| known.iter().any(|address| is_reserved(address.ip())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn by(proxies: &Proxies, url: &str) -> Option<String> {
        let target = Target::of(&Url::parse(url).unwrap()).unwrap();
        proxies.by(&target).unwrap().map(|proxy| proxy.target.to_string())
    }

    #[test]
    fn each_scheme_has_a_proxy_of_its_own_and_capitals_come_first() {
        let set = [
            ("HTTPS_PROXY", "http://secure.example:3128"),
            ("https_proxy", "http://other.example"),
            ("http_proxy", "plain.example:8080"),
        ];
        let proxies = proxies(&set);

        assert_eq!(by(&proxies, "https://registry.example/").as_deref(), Some("secure.example:3128"));
        assert_eq!(by(&proxies, "http://registry.example/").as_deref(), Some("plain.example:8080"));
        assert_eq!(by(&Proxies::default(), "https://registry.example/"), None);
    }

    #[test]
    fn nobody_is_asked_by_a_proxy_whom_the_environment_or_good_sense_excepts() {
        let except =
            "one.example, .below.example,*.star.example,10.0.0.0/8,192.0.2.7,[2001:db8::1]:443,port.example:8443, ,/8";
        let set = [("HTTPS_PROXY", "http://p:3128"), ("HTTP_PROXY", "http://p:3128"), ("NO_PROXY", except)];
        let named = proxies(&set);
        let everybody = proxies(&[("HTTPS_PROXY", "http://p:3128"), ("no_proxy", "*")]);

        for url in [
            "https://one.example/",
            "https://a.one.example:5000/",
            "https://a.below.example/",
            "https://a.b.star.example/",
            "https://10.1.2.3/",
            "https://[::ffff:10.1.2.3]/",
            "https://192.0.2.7:8443/",
            "https://[2001:db8::1]/",
            "https://port.example:8443/",
            // The proxy would take these for its own.
            "http://localhost:5000/",
            "http://127.0.0.1:5000/",
            "http://169.254.169.254/",
            "https://[::1]/",
        ] {
            assert_eq!(by(&named, url), None, "{url}");
        }
        for url in [
            "https://below.example/",
            "https://aone.example/",
            "https://11.1.2.3/",
            "https://192.0.2.70/",
            "https://[2001:db8::1]:8443/",
            "https://port.example/",
        ] {
            assert_eq!(by(&named, url).as_deref(), Some("p:3128"), "{url}");
        }
        assert_eq!(by(&everybody, "https://registry.example/"), None);
    }

    #[test]
    fn a_login_of_a_proxy_is_read_and_shown_nowhere() {
        let set = [("HTTPS_PROXY", "https://ada:s%40cret@p.example")];
        let proxies = proxies(&set);
        let login = proxies.tls.as_ref().unwrap().as_ref().unwrap().login.clone().unwrap();

        assert_eq!(login.to_str().unwrap(), format!("Basic {}", STANDARD.encode("ada:s@cret")));
        let shown = format!("{proxies:?}");
        assert!(!shown.contains("cret") && !shown.contains(&STANDARD.encode("ada:s@cret")), "{shown}");
    }

    #[test]
    fn what_names_no_proxy_is_told_without_what_it_names() {
        for wrong in ["socks5://ada:s3cret@p:1080", "http://", "http://ada:s3cret@", "p:99999"] {
            let proxies = proxies(&[("HTTPS_PROXY", wrong)]);
            let target = |url: &str| Target::of(&Url::parse(url).unwrap()).unwrap();
            let error = proxies.by(&target("https://registry.example/")).unwrap_err().to_string();

            assert!(proxies.by(&target("https://127.0.0.1/")).unwrap().is_none());
            assert!(error.starts_with("HTTPS_PROXY names no proxy") && !error.contains("s3cret"), "{error}");
        }
    }
}
