//! `wasi:sockets/ip-name-lookup`: a guest asks for the addresses of the hosts that it was granted, and of no others.

use std::net::IpAddr;
use std::sync::Arc;
use std::vec;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, SocketResult, subscribe};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop, spawn};
use wasmtime_wasi::{WasiView, async_trait};

use super::resolve::{Unresolved, resolve};
use super::sockets::answer;
use super::{Host, Preview2State, wasi};

/// A name has 253 characters at most (RFC 1035); an address as text is shorter.
const NAME_MAX: usize = 255;

/// Behind a `resolve-address-stream`.
enum Lookup {
    Asked(AbortOnDropJoinHandle<Result<Vec<IpAddr>, Unresolved>>),
    Answered(Result<vec::IntoIter<IpAddr>, Unresolved>),
}

type Store<'a> = StoreContextMut<'a, Preview2State>;

pub(super) fn add_to_linker(linker: &mut Linker<Preview2State>) -> wasmtime::Result<()> {
    let mut lookup = linker.instance(wasi!("sockets/ip-name-lookup"))?;
    lookup.resource("resolve-address-stream", ResourceType::host::<Lookup>(), |mut store: Store<'_>, rep| {
        store.data_mut().ctx().table.delete(Resource::<Lookup>::new_own(rep))?;
        Ok(())
    })?;
    lookup.func_wrap("resolve-addresses", |mut store: Store<'_>, (network, name): (Resource<Network>, String)| {
        answer(start(store.data_mut(), &network, &name))
    })?;
    lookup.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: Store<'_>, (lookup,): (Resource<Lookup>,)| answer(next(store.data_mut(), &lookup)),
    )?;
    lookup.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: Store<'_>, (lookup,): (Resource<Lookup>,)| -> wasmtime::Result<(Resource<DynPollable>,)> {
            Ok((subscribe(store.data_mut().ctx().table, lookup)?,))
        },
    )
}

fn start(state: &mut Preview2State, network: &Resource<Network>, name: &str) -> SocketResult<Resource<Lookup>> {
    state.ctx().table.get(network)?;
    let granted = state.net.granted.clone().ok_or(ErrorCode::AccessDenied)?;
    if name.is_empty() || name.len() > NAME_MAX || !name.is_ascii() {
        return Err(ErrorCode::InvalidArgument.into());
    }
    let host = Host::new(name);
    if !granted.policy.may_look_up(&host) {
        return Err(ErrorCode::AccessDenied.into());
    }
    let lookup = match granted.policy.known(&host) {
        Some(known) => Lookup::Answered(Ok(known.into_iter())),
        None => Lookup::Asked(spawn(async move {
            let debt = Arc::clone(granted.meters.debt());
            resolve(&granted.policy, &host, &debt).await
        })),
    };
    Ok(state.ctx().table.push(lookup)?)
}

fn next(state: &mut Preview2State, lookup: &Resource<Lookup>) -> SocketResult<Option<IpAddress>> {
    let lookup = state.ctx().table.get_mut(lookup)?;
    if let Lookup::Asked(asked) = lookup {
        let found = poll_noop(std::pin::Pin::new(asked)).ok_or(ErrorCode::WouldBlock)?;
        lookup.answered(found);
    }
    match lookup {
        Lookup::Answered(Ok(addresses)) => Ok(addresses.next().map(IpAddress::from)),
        Lookup::Answered(Err(Unresolved::Unknown)) | Lookup::Asked(_) => Err(ErrorCode::NameUnresolvable.into()),
        Lookup::Answered(Err(Unresolved::Reserved)) => Err(ErrorCode::AccessDenied.into()),
    }
}

impl Lookup {
    fn answered(&mut self, found: Result<Vec<IpAddr>, Unresolved>) {
        *self = Self::Answered(found.map(Vec::into_iter));
    }
}

#[async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Asked(asked) = self {
            let found = asked.await;
            self.answered(found);
        }
    }
}
