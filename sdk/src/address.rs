//! How a master's address is written, and how it is connected to.

use std::time::Duration;

use haggle_proto::{DEFAULT_PORT, SIGN_OF_LIFE, SIGN_OF_LIFE_OF_SEVERAL, SignOfLife};
use haggle_tls::Loopback;
use tonic::transport::{Endpoint, Uri};

use crate::error::{ConnectError, root_cause};

/// How long one attempt to connect may take: a host that drops packets would hold it for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Unread bytes on one stream. A megabyte keeps a download busy on any network we know.
const STREAM_WINDOW: u32 = 1 << 20;

/// Unread bytes on the whole connection: several downloads must not hold up the stream of offers and updates.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// How to connect to a master at `http://HOST:PORT` or `https://HOST:PORT`, the only one or one of several. TLS is the
/// connector's part.
///
/// # Errors
/// When that is no address.
pub(crate) fn endpoint(address: &str, of_several: bool) -> Result<Endpoint, ConnectError> {
    let SignOfLife { every, within } = if of_several { SIGN_OF_LIFE_OF_SEVERAL } else { SIGN_OF_LIFE };
    let bad = |reason| ConnectError::BadUrl { url: address.to_owned(), got: format!("but {reason}") };
    let plain = address.replacen("https://", "http://", 1);
    let endpoint = Endpoint::from_shared(plain).map_err(|error| bad(root_cause(&error)))?;
    Ok(endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(every)
        .keep_alive_timeout(within)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// `http://HOST:PORT` or `https://HOST:PORT`, whichever of the shorter forms was typed.
///
/// # Errors
/// When it is none of them.
pub(crate) fn normalised(url: &str) -> Result<String, ConnectError> {
    let bad = |got: &str| ConnectError::BadUrl { url: url.to_owned(), got: got.to_owned() };
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some((scheme, _)) => return Err(bad(&format!("got the scheme {scheme}"))),
        None => ("http", url),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let uri: Uri = format!("http://{authority}").parse().map_err(|error| bad(&format!("but {error}")))?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err(bad("got a path behind it"));
    }
    let Some(parsed) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err(bad("got no host"));
    };
    if parsed.as_str().contains('@') {
        return Err(bad("got a user in it"));
    }
    let port = match parsed.port() {
        Some(port) => port.as_str().parse::<u16>().ok().filter(|&port| port != 0),
        None if parsed.as_str() == parsed.host() => Some(DEFAULT_PORT),
        None => None,
    };
    let port = port.ok_or_else(|| bad("got no port between 1 and 65535"))?;
    Ok(format!("{scheme}://{}:{port}", parsed.host()))
}

/// Where a master is that is on this machine's loopback interface, by its whole address.
pub(crate) fn loopback(url: &str) -> Option<Loopback> {
    let uri: Uri = url.parse().ok()?;
    Loopback::of(uri.host()?, uri.port_u16()?)
}

/// The same address, by TLS.
pub(crate) fn secured(url: String) -> String {
    match url.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<String, String> {
        normalised(url).map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_write_an_address_means_the_same() {
        for url in ["http://127.0.0.1:5050", "http://127.0.0.1:5050/", "127.0.0.1:5050", "127.0.0.1"] {
            assert_eq!(read(url).as_deref(), Ok("http://127.0.0.1:5050"), "{url}");
        }
        assert_eq!(read("localhost:1").as_deref(), Ok("http://localhost:1"));
        assert_eq!(read("https://host").as_deref(), Ok("https://host:5050"));
        assert_eq!(read("[::1]:5051").as_deref(), Ok("http://[::1]:5051"));
    }

    #[test]
    fn what_is_no_address_is_refused_in_one_line_that_says_what_is() {
        for url in ["", "ftp://127.0.0.1", "127.0.0.1:port", "127.0.0.1:0", "127.0.0.1:99999", "a b", "http://h/x"] {
            let said = read(url).expect_err(url);
            assert!(said.contains("wanted http://HOST:PORT, https://HOST:PORT or HOST:PORT"), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn a_master_of_this_machine_is_known_by_its_address() {
        for url in ["http://127.0.0.1:7", "https://127.9.9.9:7", "http://[::1]:7", "http://LocalHost:7"] {
            assert!(loopback(url).is_some(), "{url}");
        }
        for url in ["http://10.0.0.1:7", "http://localhost.example:7", "http://[2001:db8::1]:7"] {
            assert_eq!(loopback(url), None, "{url}");
        }
    }
}
