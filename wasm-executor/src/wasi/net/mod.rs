//! The network of a guest: sockets and HTTP requests, only as granted, counted in bytes.
//!
//! WASI 0.2 alone: core modules have no call that connects. Nothing here listens, and nothing is resolved, connected
//! or sent that the task's grants do not name; see [`policy`] for which addresses a name may lead to.
//! What wasmtime has is used where it is bounded, and shadowed function by function where it is not.

mod connections;
mod http;
mod lookup;
mod policy;
mod resolve;
mod sockets;
mod traffic;

use std::collections::HashMap;
use std::sync::Arc;

use haggle_core::Grants;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

use self::connections::{Connections, Permit};
use self::policy::{Host, Policy};
use super::{GuestFiles, Preview2State};
use crate::memory::Memory;
use crate::meters::Meters;

/// The version of the interfaces that wasmtime 48 defines, and that are shadowed here. Were it another one, what is
/// shadowed would stand beside wasmtime's own instead of in its place; the tests with guests would then count nothing.
macro_rules! wasi {
    ($name:literal) => {
        concat!("wasi:", $name, "@0.2.12")
    };
}
use wasi;

/// The network of one guest.
pub(crate) struct Net {
    granted: Option<Arc<Granted>>,
    connections: Connections,
    /// Of sockets, by the number of their resource.
    sockets: HashMap<u32, Permit>,
    http: http::Http,
}

/// What a task was granted, for whoever works for it.
struct Granted {
    policy: Policy,
    meters: Arc<Meters>,
}

impl Net {
    /// `builder` is the context that the guest will have; without grants it is left as closed as it is.
    pub(crate) fn new(
        grants: &Grants,
        meters: &Arc<Meters>,
        memory: &Arc<Memory>,
        files: &Arc<GuestFiles>,
        builder: &mut WasiCtxBuilder,
    ) -> Self {
        let granted =
            grants.reach_out().then(|| Arc::new(Granted { policy: Policy::new(grants), meters: Arc::clone(meters) }));
        if let Some(granted) = granted.as_ref().filter(|_| !grants.net.is_empty()) {
            let granted = Arc::clone(granted);
            builder.allow_tcp(true).allow_udp(true).socket_addr_check(move |address, wanted| {
                let allowed = match wanted {
                    // Any free port, to send from.
                    SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => address.port() == 0,
                    SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
                    SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                        granted.policy.may_reach(address)
                    }
                };
                Box::pin(std::future::ready(allowed))
            });
        }
        let http = http::Http::new(granted.clone());
        let connections = Connections::new(Arc::clone(memory), Arc::clone(files));
        Self { granted, connections, sockets: HashMap::new(), http }
    }
}

/// Puts the counted and bounded functions in the place of wasmtime's own, which must be there already.
pub(super) fn add_to_linker(linker: &mut Linker<Preview2State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    lookup::add_to_linker(linker)?;
    sockets::add_to_linker(linker)?;
    http::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}
