//! Whom artifacts are fetched from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use haggle_core::addresses::is_reserved;
use url::Url;

use crate::error::SourceError;

/// One host that is allowed: `HOST`, `HOST:PORT`, `*.DOMAIN` for all below a domain, or `http://HOST[:PORT]` for one that is
/// spoken to in plain text. On loopback plain text needs no saying so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    /// In lower case; an address of version 6 without brackets.
    host: String,
    /// Whether it stands for every name below.
    below: bool,
    /// `None`: any.
    port: Option<u16>,
    plain: bool,
}

/// The hosts that are allowed.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    rules: Vec<HostRule>,
    /// Whether those may name others, as long as these are public and speak TLS.
    go_on: bool,
}

/// A text that allows no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not of the form HOST, HOST:PORT, *.DOMAIN or http://HOST:PORT, like registry.example or localhost:5000"
)]
pub struct NotARule(String);

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    /// In lower case; an address of version 6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Hosts {
    /// These and no others, whoever names them.
    pub fn only(rules: Vec<HostRule>) -> Self {
        Self { rules, go_on: false }
    }

    /// These, and what they themselves name: for somebody who fetches on one's own machine what one has named, as with any
    /// browser. Others have to be public and speak TLS.
    pub fn and_beyond(rules: Vec<HostRule>) -> Self {
        Self { rules, go_on: true }
    }

    /// Whether nobody is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a registry or a store of that address is spoken to in plain text.
    pub(crate) fn is_plain(&self, host: &str, port: Option<u16>) -> bool {
        is_loopback(host) || self.rules.iter().any(|rule| rule.plain && rule.names(host, port.unwrap_or(80)))
    }

    /// Which addresses a target may be reached at; `by` named it, if that was not the source.
    pub(crate) fn allow(&self, target: &Target, by: Option<&str>) -> Result<Reach, SourceError> {
        let rules = || self.rules.iter().filter(|rule| rule.names(&target.host, target.port));
        if rules().next().is_none() {
            return match by {
                Some(_) if self.go_on && target.tls => Ok(Reach::Public),
                by => Err(SourceError::NotAllowed { host: target.to_string(), by: by.map(str::to_owned) }),
            };
        }
        if !target.tls && !is_loopback(&target.host) && !rules().any(|rule| rule.plain) {
            return Err(SourceError::Plain { host: target.to_string() });
        }
        // One that was named by itself, and not one of many below a domain.
        let is_itself = target.host.parse::<IpAddr>().is_ok() || target.host == LOCALHOST;
        Ok(if is_itself { Reach::Itself } else { Reach::Named })
    }
}

const LOCALHOST: &str = "localhost";

/// Which addresses a name may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// That one which was written.
    Itself,
    /// Any but this machine's and its provider's.
    Named,
    /// Neither those nor private ones.
    Public,
}

impl Reach {
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Itself => true,
            Self::Named => !is_reserved(address),
            Self::Public => !is_reserved(address) && !is_private(address),
        }
    }
}

/// Networks of one's own, by RFC 1918, 6598 and 4193.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.segments()[0] & 0xfe00 == 0xfc00,
    }
}

fn is_loopback(host: &str) -> bool {
    host == LOCALHOST || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl Target {
    /// Of a URL of `http` or `https`.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Some(Self { tls, host, port: url.port_or_known_default()? })
    }

    /// Its host and its port, as a proxy is asked for it.
    pub(crate) fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{open}{}{close}:{}", self.host, self.port)
    }

    /// Where its connections go, without asking anybody where that is known.
    pub(crate) fn known_addresses(&self) -> Option<Vec<SocketAddr>> {
        if self.host == LOCALHOST {
            return Some(
                [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
                    .map(|ip: IpAddr| (ip, self.port).into())
                    .to_vec(),
            );
        }
        self.host.parse::<IpAddr>().ok().map(|ip| vec![(ip, self.port).into()])
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = if self.tls { ":443" } else { ":80" };
        let authority = self.authority();
        f.write_str(authority.strip_suffix(usual).unwrap_or(&authority))
    }
}

impl HostRule {
    /// The host of a source alone.
    pub fn of(source: &crate::Source) -> Option<Self> {
        match source {
            crate::Source::Oci(reference) => reference.registry.parse().ok(),
            crate::Source::S3 { .. } => crate::s3::endpoint_of_environment().and_then(|url| Self::of_url(&url)),
            crate::Source::Web(url) => Self::of_url(url),
        }
    }

    fn of_url(url: &Url) -> Option<Self> {
        let Target { tls, host, port } = Target::of(url)?;
        Some(Self { host, below: false, port: Some(port), plain: !tls })
    }

    fn names(&self, host: &str, port: u16) -> bool {
        let is_it = if self.below {
            host.strip_suffix(&*self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.host
        };
        is_it && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for HostRule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        let wrong = || NotARule(text.to_owned());
        let (plain, authority) = match text.strip_prefix("http://") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (below, authority) = match authority.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, authority),
        };
        // An address of version 6 may be written without brackets where no port follows.
        let authority =
            if authority.parse::<Ipv6Addr>().is_ok() { format!("[{authority}]") } else { authority.to_owned() };
        if authority.is_empty() || authority.contains(['/', '@', '?', '#', '\\', '*']) {
            return Err(wrong());
        }
        // With a scheme whose usual port nobody means.
        let url = Url::parse(&format!("ws://{authority}")).map_err(|_| wrong())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if below && host.parse::<IpAddr>().is_ok() {
            return Err(wrong());
        }
        let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let port = port.map(|(_, port)| port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)).transpose()?;
        Ok(Self { host, below, port, plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<HostRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn target(url: &str) -> Target {
        Target::of(&Url::parse(url).unwrap()).unwrap()
    }

    fn verdict(hosts: &Hosts, url: &str) -> String {
        match hosts.allow(&target(url), None) {
            Ok(reach) => format!("{reach:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn whoever_is_not_named_is_refused_with_the_option_that_allows_it() {
        let hosts = Hosts::only(rules(&["registry.example"]));

        let refusal = verdict(&hosts, "https://other.example:8443/");

        assert!(refusal.starts_with("other.example:8443 is not among the hosts"), "{refusal}");
        assert!(refusal.ends_with("allow it with --artifact-hosts other.example:8443"), "{refusal}");
        assert_eq!(verdict(&Hosts::default(), "https://registry.example/").split(' ').next(), Some("registry.example"));
    }

    #[test]
    fn a_rule_names_a_host_a_port_of_it_or_all_below_a_domain() {
        let hosts = Hosts::only(rules(&["registry.example", "Store.example:8443", "*.cdn.example"]));

        for url in [
            "https://registry.example/",
            "https://registry.example:5000/",
            "https://store.example:8443/",
            "https://a.cdn.example/",
        ] {
            assert_eq!(verdict(&hosts, url), "Named", "{url}");
        }
        for url in [
            "https://store.example/",
            "https://cdn.example/",
            "https://evilcdn.example/",
            "https://registry.example.evil/",
        ] {
            assert!(verdict(&hosts, url).contains("is not among"), "{url}");
        }
    }

    #[test]
    fn plain_text_is_for_loopback_and_for_whoever_says_so() {
        let hosts = Hosts::only(rules(&["registry.example", "http://old.example:5000", "127.0.0.1:5000", "localhost"]));

        assert!(verdict(&hosts, "http://registry.example/").contains("in plain text"));
        assert_eq!(verdict(&hosts, "http://old.example:5000/"), "Named");
        assert_eq!(verdict(&hosts, "http://127.0.0.1:5000/"), "Itself");
        assert_eq!(verdict(&hosts, "http://localhost:9000/"), "Itself");
        assert!(hosts.is_plain("old.example", Some(5000)) && !hosts.is_plain("registry.example", None));
    }

    #[test]
    fn no_name_leads_to_this_machine_or_its_provider() {
        let addresses = ["127.0.0.1", "169.254.169.254", "::1", "10.0.0.7", "1.1.1.1"].map(|ip| ip.parse().unwrap());

        assert_eq!(addresses.map(|ip| Reach::Named.allows(ip)), [false, false, false, true, true]);
        assert_eq!(addresses.map(|ip| Reach::Public.allows(ip)), [false, false, false, false, true]);
        assert_eq!(addresses.map(|ip| Reach::Itself.allows(ip)), [true; 5]);
    }

    #[test]
    fn what_somebody_named_may_lead_on_to_others_only_where_that_was_wanted() {
        let (elsewhere, plain) = (target("https://cdn.example/"), target("http://cdn.example/"));
        let [only, beyond] = [Hosts::only, Hosts::and_beyond].map(|make| make(rules(&["registry.example"])));

        let refused = only.allow(&elsewhere, Some("registry.example")).unwrap_err().to_string();

        assert!(refused.contains("and registry.example names it"), "{refused}");
        assert_eq!(beyond.allow(&elsewhere, Some("registry.example")).unwrap(), Reach::Public);
        assert!(beyond.allow(&plain, Some("registry.example")).is_err());
        assert!(beyond.allow(&elsewhere, None).is_err());
    }

    #[test]
    fn what_names_no_host_is_no_rule() {
        for wrong in
            ["", "http://", "https://a", "a/b", "*.", "*", "a*b", "*.127.0.0.1", "a:0", "a:70000", "a b", "x@a", "a:"]
        {
            assert!(wrong.parse::<HostRule>().is_err(), "{wrong}");
        }
        for right in ["::1", "[::1]:5000", "10.0.0.7", "a", "*.a.example:443", "http://a:80"] {
            assert!(right.parse::<HostRule>().is_ok(), "{right}");
        }
    }
}
