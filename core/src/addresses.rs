//! Which addresses no name may lead to: those of one's own machine and of its provider's services.
//!
//! Whoever controls a name can let it resolve to anything (DNS rebinding). So an address in these ranges is reached
//! only by a grant that names the address itself, or `localhost`. Private ranges (10/8, fc00::/7 …) are not among
//! them: the database that a task is granted lives there.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Services of cloud providers that hand out credentials or control the machine, outside of link-local: Azure,
/// Alibaba Cloud, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// The same over IPv6: Amazon, Google, Scaleway.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Whether only a grant that names this very address reaches it.
pub fn is_reserved(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_reserved_v4(address),
        IpAddr::V6(address) => is_reserved_v6(address),
    }
}

/// Ranges by RFC 6890.
fn is_reserved_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // "This network", which Linux takes for loopback; and 240/4, which holds the broadcast address.
    first == 0
        || first >= 240
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || METADATA_V4.contains(&address)
}

fn is_reserved_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        // Link-local fe80::/10, and its elder brother site-local fec0::/10.
        || segments[0] & 0xff80 == 0xfe80
        || METADATA_V6.contains(&address)
        || embedded(segments).is_some_and(is_reserved_v4)
}

/// The IPv4 address that a gateway or the system would make of an IPv6 address.
fn embedded(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-compatible (RFC 4291), and NAT64 by the well-known and the local prefix (RFC 6052, 8215).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low] => from(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_itself_and_its_providers_services_are_reserved_in_every_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.1.1",
            "169.254.169.254",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(is_reserved(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn public_and_private_addresses_are_not() {
        for address in [
            "1.1.1.1",
            "10.0.0.7",
            "172.16.3.4",
            "192.168.1.1",
            "100.64.0.1",
            "::ffff:10.0.0.7",
            "2001:db8::1",
            "fd12:3456::1",
            "64:ff9b::a00:7",
            "2002:a00:7::1",
        ] {
            assert!(!is_reserved(address.parse().unwrap()), "{address}");
        }
    }
}
