//! Names to addresses, by the system's resolver, on threads of their own: it blocks, for half a minute at times.
//!
//! It reads files of the system and opens sockets of its own. A process that gives up what it does not need has to keep
//! those where it may use the network.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::Host;
use super::policy::Policy;
use crate::charge::Debt;
use crate::clock::thread_cpu_time;

/// Lookups at once in this process. Beyond it they wait: a name server that does not answer holds a thread.
const LOOKUPS_MAX: usize = 32;

/// glibc keeps its answers on the stack, 64 KiB of them at most.
const STACK: usize = 256 << 10;

/// Why a host has no address for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// There is no such name, or nobody who would know it.
    Unknown,
    /// It leads only to where no name may lead.
    Reserved,
}

/// The addresses of a host that its task may reach; never none.
/// What the asking costs goes to `debt`.
pub(super) async fn resolve(policy: &Policy, host: &Host, debt: &Arc<Debt>) -> Result<Vec<IpAddr>, Unresolved> {
    if let Some(known) = policy.known(host) {
        return Ok(known);
    }
    let Host::Name(name) = host else { return Err(Unresolved::Unknown) };
    let found = ask(name.clone(), Arc::clone(debt)).await.map_err(|error| {
        tracing::debug!(name, %error, "a name was not found");
        Unresolved::Unknown
    })?;
    let allowed = policy.pin(name, &found);
    if allowed.is_empty() { Err(Unresolved::Reserved) } else { Ok(allowed) }
}

async fn ask(name: String, debt: Arc<Debt>) -> io::Result<Vec<IpAddr>> {
    static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(LOOKUPS_MAX)));
    let turn = Arc::clone(&TURNS).acquire_owned().await.map_err(io::Error::other)?;
    let (answer, answered) = oneshot::channel();
    let thread = thread::Builder::new().name("haggle-resolve".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        debt.charge(thread_cpu_time());
        // Whoever asked may be gone. The turn is over only now, since the thread is what is counted.
        let _ = answer.send(found.map(|found| found.map(|address| address.ip()).collect()));
        drop(turn);
    })?;
    answered.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use haggle_core::Grants;

    use super::*;

    fn resolved(grant: &str, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let policy = Policy::new(&Grants { net: vec![grant.parse().unwrap()], ..Grants::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(resolve(&policy, &Host::new(host), &Arc::default()))
    }

    /// No address as Rust reads it, but one as every resolver does.
    #[test]
    fn a_name_that_is_loopback_in_disguise_has_no_address() {
        for name in ["127.1", "0x7f000001", "2130706433", "0"] {
            assert_eq!(resolved(&format!("{name}:80"), name), Err(Unresolved::Reserved), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_a_public_address_in_disguise_is_that_address() {
        assert_eq!(resolved("10.7:80", "10.7"), Ok(vec![IpAddr::from([10, 0, 0, 7])]));
    }

    #[test]
    fn a_name_that_nobody_has_is_unknown() {
        assert_eq!(resolved("no_such.invalid:80", "no_such..invalid"), Err(Unresolved::Unknown));
    }
}
