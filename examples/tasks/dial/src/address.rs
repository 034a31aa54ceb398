//! Addresses as WASI has them, and as people write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wasip2::sockets::network::{IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

/// Any free port of any address.
pub const ANY_V4: Ipv4SocketAddress = Ipv4SocketAddress { port: 0, address: (0, 0, 0, 0) };
const ANY_V6: Ipv6SocketAddress =
    Ipv6SocketAddress { port: 0, flow_info: 0, address: (0, 0, 0, 0, 0, 0, 0, 0), scope_id: 0 };

/// `None` for a name. IPv6 addresses may stand in brackets.
pub fn parse(text: &str) -> Option<IpAddress> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    Some(match bare.parse().ok()? {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            IpAddress::Ipv4((a, b, c, d))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments();
            IpAddress::Ipv6((a, b, c, d, e, f, g, h))
        }
    })
}

pub fn display(address: IpAddress) -> String {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).to_string(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string(),
    }
}

pub fn with_port(address: IpAddress, port: u16) -> IpSocketAddress {
    match address {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => {
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}

pub fn family(address: IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

/// Where to send from.
pub fn any(to: IpSocketAddress) -> IpSocketAddress {
    match to {
        IpSocketAddress::Ipv4(_) => IpSocketAddress::Ipv4(ANY_V4),
        IpSocketAddress::Ipv6(_) => IpSocketAddress::Ipv6(ANY_V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["127.0.0.1", "::1", "2001:db8::1"] {
            assert_eq!(display(parse(text).unwrap()), text);
        }
        assert!(parse("[::1]").is_some());
        assert!(parse("localhost").is_none());
    }
}
