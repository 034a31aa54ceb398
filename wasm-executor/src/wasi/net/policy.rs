//! What the grants of one task allow: which names it may ask for, which addresses it may reach.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use haggle_core::Grants;
use haggle_core::addresses::is_reserved;
use parking_lot::Mutex;

/// Addresses of one name that are remembered. Names with more are served by any of them.
const ADDRESSES_MAX: usize = 16;

/// Ports of an HTTP grant that names none.
const HTTP_PORTS: [u16; 2] = [80, 443];

/// `localhost` is nobody's to answer but ours (RFC 6761, 6.3).
const LOCALHOST: &str = "localhost";
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A host as it is granted or asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// In its plain form: an IPv4 address in IPv6 clothes is an IPv4 address.
    Address(IpAddr),
    /// In lower case, without the dot that makes it absolute.
    Name(String),
}

impl Host {
    /// IPv6 addresses may stand in brackets.
    pub(super) fn new(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()),
        }
    }
}

/// The grants of one task, and the addresses that its names were found to have.
pub(super) struct Policy {
    net: Vec<(Host, u16)>,
    http: Vec<(Host, Option<u16>)>,
    /// A name keeps the addresses with which it was found first for as long as its task lives.
    pinned: Mutex<BTreeMap<String, Vec<IpAddr>>>,
}

impl Policy {
    pub(super) fn new(grants: &Grants) -> Self {
        let net = grants.net.iter().map(|endpoint| (Host::new(&endpoint.host), endpoint.port)).collect();
        let http = grants.http.iter().map(|host| (Host::new(&host.host), host.port)).collect();
        let pinned = BTreeMap::from([(LOCALHOST.to_owned(), LOOPBACK.to_vec())]);
        Self { net, http, pinned: Mutex::new(pinned) }
    }

    /// Whether the guest may ask for the addresses of a host. Those whom it only sends requests to are looked up for
    /// it.
    pub(super) fn may_look_up(&self, host: &Host) -> bool {
        self.net.iter().any(|(granted, _)| granted == host)
    }

    /// Whether it may connect or send to an address, or hear from it.
    pub(super) fn may_reach(&self, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let pinned = self.pinned.lock();
        self.net.iter().filter(|(_, granted)| *granted == port).any(|(host, _)| match host {
            Host::Address(granted) => *granted == ip,
            Host::Name(name) => pinned.get(name).is_some_and(|addresses| addresses.contains(&ip)),
        })
    }

    /// Whether it may send requests there.
    pub(super) fn may_request(&self, host: &Host, port: u16) -> bool {
        self.http.iter().any(|(granted, only)| {
            granted == host && only.map_or_else(|| HTTP_PORTS.contains(&port), |only| only == port)
        })
    }

    /// What is known of a host without asking anybody.
    pub(super) fn known(&self, host: &Host) -> Option<Vec<IpAddr>> {
        match host {
            Host::Address(address) => Some(vec![*address]),
            Host::Name(name) => self.pinned.lock().get(name).cloned(),
        }
    }

    /// Remembers what a name was found to have, less what no name may lead to. The first finding stays, so that a name
    /// cannot change its mind between two calls; one with nothing in it is not kept.
    pub(super) fn pin(&self, name: &str, found: &[IpAddr]) -> Vec<IpAddr> {
        let mut allowed: Vec<IpAddr> = Vec::new();
        for address in found.iter().map(IpAddr::to_canonical) {
            if !is_reserved(address) && !allowed.contains(&address) && allowed.len() < ADDRESSES_MAX {
                allowed.push(address);
            }
        }
        if allowed.is_empty() {
            return allowed;
        }
        self.pinned.lock().entry(name.to_owned()).or_insert(allowed).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(net: &[&str], http: &[&str]) -> Policy {
        Policy::new(&Grants {
            net: net.iter().map(|text| text.parse().unwrap()).collect(),
            http: http.iter().map(|text| text.parse().unwrap()).collect(),
            ..Grants::default()
        })
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn reaches(policy: &Policy, address: &str) -> bool {
        policy.may_reach(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_reached_only_as_it_is_granted() {
        let policy = policy(&["10.0.0.7:5432", "[::1]:80"], &[]);

        assert!(reaches(&policy, "10.0.0.7:5432"));
        assert!(reaches(&policy, "[::ffff:10.0.0.7]:5432"));
        assert!(reaches(&policy, "[::1]:80"));
        for refused in ["10.0.0.7:80", "10.0.0.8:5432", "127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[::1]:81"] {
            assert!(!reaches(&policy, refused), "{refused}");
        }
    }

    #[test]
    fn a_name_is_reached_once_it_was_looked_up_and_where_it_was_found() {
        let policy = policy(&["db.example:5432"], &[]);
        assert!(!reaches(&policy, "192.0.2.1:5432"));

        assert_eq!(policy.pin("db.example", &ips(&["192.0.2.1"])), ips(&["192.0.2.1"]));

        assert!(reaches(&policy, "192.0.2.1:5432"));
        assert!(!reaches(&policy, "192.0.2.1:80"));
        assert!(!reaches(&policy, "192.0.2.2:5432"));
    }

    #[test]
    fn a_name_that_changes_its_mind_keeps_its_first_addresses() {
        let policy = policy(&["db.example:5432"], &[]);
        policy.pin("db.example", &ips(&["192.0.2.1"]));

        assert_eq!(policy.pin("db.example", &ips(&["198.51.100.9"])), ips(&["192.0.2.1"]));

        assert!(!reaches(&policy, "198.51.100.9:5432"));
    }

    #[test]
    fn no_name_leads_to_the_machine_itself() {
        let policy = policy(&["evil.example:80"], &["evil.example:80"]);

        let found = ips(&["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "10.0.0.1"]);

        assert_eq!(policy.pin("evil.example", &found), ips(&["10.0.0.1"]));
        assert!(!reaches(&policy, "127.0.0.1:80"));
        assert!(reaches(&policy, "10.0.0.1:80"));
    }

    #[test]
    fn localhost_is_loopback_without_a_lookup_and_only_where_it_is_granted() {
        let granted = policy(&["localhost:80"], &[]);
        assert!(reaches(&granted, "127.0.0.1:80") && reaches(&granted, "[::1]:80"));
        assert_eq!(granted.known(&Host::new("LocalHost.")), Some(LOOPBACK.to_vec()));
        assert!(!reaches(&policy(&["db.example:80"], &[]), "127.0.0.1:80"));
    }

    #[test]
    fn a_grant_for_requests_allows_no_connection_and_no_lookup() {
        let policy = policy(&[], &["api.example", "10.0.0.7:8080"]);

        let api = Host::new("API.example.");
        assert!(policy.may_request(&api, 80) && policy.may_request(&api, 443));
        assert!(!policy.may_request(&api, 8080));
        assert!(policy.may_request(&Host::new("[::ffff:10.0.0.7]"), 8080));
        assert!(!policy.may_look_up(&api));
        assert!(!reaches(&policy, "10.0.0.7:8080"));
    }
}
