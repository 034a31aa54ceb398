//! Where others reach a master, and how they know it: what a token says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use haggle_core::{ClusterId, Digest};
use haggle_etcd::EtcdError;
use haggle_tls::{Fingerprint, Token};

use crate::config::Advertised;
use crate::registry::Campaign;
use crate::security::Security;

/// Addresses of a machine that are told, at most: a machine with many has virtual ones among them.
const OWN_MAX: usize = 4;

/// Where and how.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) cluster: ClusterId,
    /// `host:port` of this master, the best one first.
    pub(crate) addresses: Vec<String>,
    /// Where the other masters say where they are, if there are any.
    pub(crate) others: Option<Campaign>,
    /// `None`: in plain text.
    pub(crate) security: Option<Arc<Security>>,
}

impl Reach {
    /// How this master is known, as a token says it.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.security.as_ref().map(|security| security.fingerprint())
    }

    /// The same, as the cluster remembers it.
    pub(crate) fn authority(&self) -> Option<Digest> {
        self.fingerprint().map(|fingerprint| Digest(fingerprint.0))
    }

    /// Where all masters are that are up, this one first; as many as a token holds.
    ///
    /// # Errors
    /// When the others cannot be asked for.
    pub(crate) async fn everywhere(&self) -> Result<Vec<String>, EtcdError> {
        let others = match &self.others {
            Some(campaign) => campaign.addresses().await?,
            None => Vec::new(),
        };
        Ok(together(&self.addresses, &others))
    }
}

/// One's own addresses, and of each other master the best one before the next best of any.
fn together(own: &[String], others: &[Vec<String>]) -> Vec<String> {
    let longest = others.iter().map(Vec::len).max().unwrap_or(0);
    // Of one's own, as many as leave room for one of each other one.
    let room = Token::ADDRESSES_MAX.saturating_sub(others.len()).max(1);
    let others = (0..longest).flat_map(|rank| others.iter().filter_map(move |addresses| addresses.get(rank)));
    let mut all: Vec<String> = Vec::new();
    for address in own.iter().take(room).chain(others) {
        if !all.contains(address) && all.len() < Token::ADDRESSES_MAX {
            all.push(address.clone());
        }
    }
    all
}

/// The names and addresses under which a master is reached: those that it was told, else those that it listens on.
pub(crate) fn hosts(advertised: &[Advertised], listening: SocketAddr) -> Vec<Advertised> {
    if !advertised.is_empty() {
        return advertised.to_vec();
    }
    let addresses = if listening.ip().is_unspecified() { own_addresses() } else { vec![listening.ip()] };
    addresses.into_iter().map(|address| Advertised { host: address.to_string(), port: None }).collect()
}

/// What this machine is called in networks, the one that leads out first.
fn own_addresses() -> Vec<IpAddr> {
    let leading_out = [
        leads_out((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        leads_out((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into()),
    ];
    // Where the system does not tell, the one that leads out has to do.
    let networks = sysinfo::Networks::new_with_refreshed_list().ok();
    let networks = networks.iter().flat_map(|networks| networks.values());
    let mut others: Vec<_> = networks.flat_map(|network| network.ip_networks()).map(|network| network.addr).collect();
    others.sort_unstable();
    ranked(leading_out.into_iter().flatten().chain(others))
}

/// Those that others can use, each once.
fn ranked(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut ranked = Vec::new();
    for address in addresses {
        let usable = match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local() && !address.is_unspecified(),
            IpAddr::V6(address) => {
                !address.is_loopback() && !address.is_unicast_link_local() && !address.is_unspecified()
            }
        };
        if usable && !ranked.contains(&address) && ranked.len() < OWN_MAX {
            ranked.push(address);
        }
    }
    // A machine without a network: at least it reaches itself.
    if ranked.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { ranked }
}

/// The address from which this machine would speak to another one. Nothing is sent.
fn leads_out(from: SocketAddr, to: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_told_counts_and_else_where_it_listens() {
        let told: Vec<Advertised> = vec!["haggle.example:443".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        let listening: SocketAddr = "10.9.9.9:5050".parse().unwrap();

        assert_eq!(hosts(&told, listening), told);
        assert_eq!(hosts(&[], listening), ["10.9.9.9".parse().unwrap()]);
        assert!(!hosts(&[], "0.0.0.0:5050".parse().unwrap()).is_empty());
    }

    #[test]
    fn a_token_leads_to_every_master_and_first_to_the_one_that_made_it() {
        let all = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<String>>();
        let others = [all(&["b:1", "b:2"]), all(&["a:1"]), all(&["c:1", "c:2", "c:3"])];

        assert_eq!(together(&all(&["a:1"]), &others), all(&["a:1", "b:1", "c:1", "b:2", "c:2", "c:3"]));
        assert_eq!(together(&all(&["a:1"]), &[]), all(&["a:1"]));
        let (own, many) = (all(&["x:1", "x:2", "x:3", "x:4"]), vec![all(&["b:1"]); 6]);
        assert_eq!(together(&own, &many)[..3], all(&["x:1", "x:2", "b:1"]));
        let many: Vec<_> = (0..20).map(|at| vec![format!("m{at}:1")]).collect();
        assert_eq!(together(&own, &many).len(), Token::ADDRESSES_MAX);
    }

    #[test]
    fn of_its_own_addresses_those_that_others_can_use_are_told_four_at_most() {
        let own = ["10.0.0.7", "127.0.0.1", "::1", "fe80::1", "169.254.1.1", "10.0.0.7", "2001:db8::7"];
        assert_eq!(ranked(own.map(ip)), ["10.0.0.7", "2001:db8::7"].map(ip));

        let many = (1..=9).map(|last| IpAddr::from([10, 0, 0, last]));
        assert_eq!(ranked(many).len(), 4);
        assert_eq!(ranked([ip("127.0.0.1")]), [ip("127.0.0.1")]);
    }
}
