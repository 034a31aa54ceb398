//! Where a master listens, under which names, and whether in TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

use haggle_core::ClusterId;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::error::StartError;
use crate::reach;
use crate::security::Security;

/// Where its own machine reaches a master that listens there.
pub(crate) fn nearest(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Takes its port.
///
/// # Errors
/// When it is taken, or may not be.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => StartError::Listen { address, source },
    })
}

/// Whether it speaks TLS.
pub(crate) fn is_secured(config: &Config, address: SocketAddr) -> bool {
    !is_loopback(address) || config.tls.is_wanted()
}

/// Makes sure that nobody is left believing in what a master in plain text does not do.
///
/// # Errors
/// When it is told of TLS what it would not do.
pub(crate) fn check_plain(config: &Config, address: SocketAddr) -> Result<(), StartError> {
    if is_secured(config, address) {
        return Ok(());
    }
    if config.tls.client_authorities.is_some() {
        let what = "says whose certificates agents may show";
        return Err(StartError::OnlyInTls { flag: "--tls-client-ca", what });
    }
    if config.several.as_ref().is_some_and(|several| several.seal_key.is_some()) {
        let what = "says what seals the authority of masters that have one";
        return Err(StartError::OnlyInTls { flag: "--ca-key-file", what });
    }
    Ok(())
}

/// Under which names and addresses others reach it.
pub(crate) fn names(config: &Config, address: SocketAddr) -> Vec<String> {
    reach::hosts(&config.advertise, address).into_iter().map(|advertised| advertised.host).collect()
}

/// What makes a master that others reach sure for them, and a master on loopback when that is wanted.
///
/// # Errors
/// When its certificates cannot be made, or read.
pub(crate) fn secure(config: &Config, address: SocketAddr, cluster: ClusterId) -> Result<Option<Security>, StartError> {
    if !is_secured(config, address) {
        return Ok(None);
    }
    let names = names(config, address);
    Ok(Some(Security::open(&config.tls, config.state.as_deref(), cluster, names, SystemTime::now())?))
}
