//! Where a master of this machine is dialled: on its loopback interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A host and a port on the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loopback {
    /// `None`: `localhost`, whichever address that is.
    address: Option<IpAddr>,
    port: u16,
}

impl Loopback {
    /// As a URL names the host: by an address, one of version 6 in brackets, or as `localhost`, which RFC 6761 wants to be
    /// resolved to loopback only. `None`: elsewhere.
    pub fn of(host: &str, port: u16) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.eq_ignore_ascii_case("localhost") {
            return Some(Self { address: None, port });
        }
        let address: IpAddr = bare.parse().ok()?;
        address.to_canonical().is_loopback().then_some(Self { address: Some(address), port })
    }

    /// Where a connection to it may go.
    pub fn addresses(self) -> impl Iterator<Item = SocketAddr> {
        let (one, other) = match self.address {
            Some(address) => (address, None),
            None => (Ipv4Addr::LOCALHOST.into(), Some(Ipv6Addr::LOCALHOST.into())),
        };
        [one].into_iter().chain(other).map(move |address| SocketAddr::new(address, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses_and_its_name() {
        for host in ["127.0.0.1", "127.9.9.9", "[::1]", "::1", "localhost", "LocalHost", "[::ffff:127.0.0.1]"] {
            assert!(Loopback::of(host, 7).is_some(), "{host}");
        }
        for host in ["10.0.0.1", "localhost.example", "[2001:db8::1]", "", "[", "0.0.0.0"] {
            assert_eq!(Loopback::of(host, 7), None, "{host}");
        }
    }

    #[test]
    fn its_name_is_any_of_its_addresses() {
        let all = |host| Loopback::of(host, 7).unwrap().addresses().map(|at| at.to_string()).collect::<Vec<_>>();

        assert_eq!(all("localhost"), ["127.0.0.1:7", "[::1]:7"]);
        assert_eq!(all("127.0.0.2"), ["127.0.0.2:7"]);
    }
}
