//! `wasi:http`: requests to the hosts that a task was granted, sent by us, with all that a guest makes us hold bounded.

mod exchange;

use std::sync::Arc;

use hyper::Request;
use hyper::http::uri::Scheme;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::p2::HttpResult;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostOutgoingRequest, Method};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest as OutgoingRequest};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use super::connections::Permit;
use super::{Granted, Preview2State, wasi};

/// Bytes that the header fields of one message may take, as the host holds them. Servers accept 8 to 16 KiB.
const FIELDS_MAX: usize = 32 << 10;
/// Bytes of a path with its query; of a host with its port; of a method that has no name in WASI. A guest may prepare
/// many requests that it never sends, and these are not counted.
const PATH_MAX: usize = 8 << 10;
const AUTHORITY_MAX: usize = 512;
const METHOD_MAX: usize = 64;

/// Bytes of a request's body that are taken from the guest at once; two such pieces may wait for their way out.
const BODY_CHUNK: usize = 16 << 10;

type Store<'a> = StoreContextMut<'a, Preview2State>;

/// `wasi:http` of one guest.
pub(super) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

/// What becomes of its requests.
struct Hooks {
    granted: Option<Arc<Granted>>,
    /// For the request that is about to be sent.
    permit: Option<Permit>,
}

impl Http {
    pub(super) fn new(granted: Option<Arc<Granted>>) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS_MAX);
        Self { ctx, hooks: Hooks { granted, permit: None } }
    }
}

impl WasiHttpView for Preview2State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Http { ctx, hooks } = &mut self.net.http;
        WasiHttpCtxView { hooks, ctx, table: self.wasi.table() }
    }
}

type Answer = Box<dyn Future<Output = Result<exchange::Response, Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Answer {
        match (self.granted.clone(), self.permit.take()) {
            (Some(granted), Some(permit)) => {
                Box::new(exchange::send(granted, permit, request, options.unwrap_or_default()))
            }
            _ => Box::new(std::future::ready(Err(Error::HttpRequestDenied))),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    // What goes wrong is told to the guest. Wasmtime would log it as well, as often as a guest likes.

    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }

    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTPS)
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Preview2State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.instance(wasi!("http/outgoing-handler"))?.func_wrap(
        "handle",
        |mut store: Store<'_>, (request, options): (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>)| {
            match handle(store.data_mut(), request, options) {
                Ok(response) => Ok((Ok(response),)),
                Err(error) => Ok((Err(error.downcast()?),)),
            }
        },
    )?;
    let mut types = linker.instance(wasi!("http/types"))?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (request, method): (Resource<OutgoingRequest>, Method)| {
            let too_long = matches!(&method, Method::Other(name) if name.len() > METHOD_MAX);
            if too_long { Ok((Err(()),)) } else { Ok((store.data_mut().http().set_method(request, method)?,)) }
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store<'_>, (request, path): (Resource<OutgoingRequest>, Option<String>)| {
            let too_long = path.as_ref().is_some_and(|path| path.len() > PATH_MAX);
            if too_long { Ok((Err(()),)) } else { Ok((store.data_mut().http().set_path_with_query(request, path)?,)) }
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (request, authority): (Resource<OutgoingRequest>, Option<String>)| {
            let too_long = authority.as_ref().is_some_and(|authority| authority.len() > AUTHORITY_MAX);
            if too_long { Ok((Err(()),)) } else { Ok((store.data_mut().http().set_authority(request, authority)?,)) }
        },
    )
}

fn handle(
    state: &mut Preview2State,
    request: Resource<OutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> HttpResult<Resource<HostFutureIncomingResponse>> {
    let permit = match state.net.granted {
        Some(_) => state.net.connections.open(),
        None => None,
    };
    if permit.is_none() {
        state.ctx().table.delete(request)?;
        let refusal =
            if state.net.granted.is_some() { ErrorCode::ConnectionLimitReached } else { ErrorCode::HttpRequestDenied };
        return Err(refusal.into());
    }
    state.net.http.hooks.permit = permit;
    let given = options.as_ref().map(Resource::rep);
    let response = outgoing_handler::Host::handle(&mut state.http(), request, options);
    // A request that is wrong in itself was not sent.
    state.net.http.hooks.permit = None;
    // Wasmtime leaves the options behind, which are ours now.
    if let Some(rep) = given {
        state.ctx().table.delete(Resource::<RequestOptions>::new_own(rep))?;
    }
    response
}
