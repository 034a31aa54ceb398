//! `haggle.v1` on a socket: which services there are, and the limits they share.

mod agents;
mod arriving;
mod artifacts;
mod authority;
mod frameworks;
mod intake;
mod join;
mod limits;
mod lists;
mod masters;
mod operator;
mod read_log;
mod session;
mod taken;
mod tokens;
mod watch;
mod why;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use haggle_proto::v1::agents_server::AgentsServer;
use haggle_proto::v1::artifacts_server::ArtifactsServer;
use haggle_proto::v1::frameworks_server::FrameworksServer;
use haggle_proto::v1::join_server::JoinServer;
use haggle_proto::v1::masters_server::MastersServer;
use haggle_proto::v1::operator_server::OperatorServer;
use haggle_proto::{MESSAGE_MAX, ORDERS_MAX};
use tonic::service::Routes;
use tonic::transport::Server;
use tower::layer::layer_fn;

use crate::acceptor::Connection;
use crate::access::{Guard, Guarded, Passes};
use crate::again::Again;
use crate::artifacts::Store;
use crate::election::Switch;
use crate::handle::Handle;
use crate::inbox::Kind;
use crate::limits::{House, Limiter};
use crate::logs::LogRelay;
use crate::mesos::Mesos;
use crate::metrics::{AgentFigures, Metrics};
use crate::pages::Pages;
use crate::pull::Puller;
use crate::reach::Reach;
use crate::replicas::Replicas;
use crate::web::Area;

use intake::Metered;

pub(crate) use artifacts::{UPLOADER, blocking, next_chunk};
pub(crate) use frameworks::share;
pub(crate) use limits::LimitList;
pub(crate) use read_log::{agent_of, stream as read_log};
pub(crate) use tokens::{first_token, is_live};
pub(crate) use watch::{announcements, happening_to, sees};
pub(crate) use why::Whys;

/// Calls that one connection may have open. A framework or an agent has one stream; a command line has a few.
const STREAMS_MAX: u32 = 256;

/// What a peer may send on one stream before the master has read it. A batch of launches fits; a stalled
/// session holds no more than this.
const STREAM_WINDOW: u32 = 2 << 20;

/// The same, for all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The headers of one call, decoded. Those of an honest one have a few hundred bytes.
const HEADERS_MAX: u32 = 16 << 10;

/// Calls that were reset before anybody looked at them. Whoever has more is hung up on.
const RESETS_MAX: usize = 20;

/// How often a silent connection is asked whether it lives, and how long it may take to answer. A peer whose
/// machine is gone is noticed well before the agent's timeout.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// The services of a master that leads, behind the guard. `reach` is what tokens say of it, and what it joins agents with.
pub(crate) fn leading(
    handle: Handle,
    store: Arc<Store>,
    replicas: Option<Arc<Replicas>>,
    puller: &Arc<Puller>,
    guard: &Guard,
    reach: Reach,
) -> Guarded {
    let logs = Arc::new(LogRelay::default());
    let figures = Arc::new(AgentFigures::default());
    let security = reach.security.clone();
    let passes = security.as_ref().map(|security| Arc::new(Passes::new(security.pass_keys())));
    let agents = agents::Agents::new(handle.clone(), Arc::clone(&logs), Arc::clone(&figures), security, passes.clone());
    let agents = AgentsServer::new(agents).max_decoding_message_size(MESSAGE_MAX).max_encoding_message_size(ORDERS_MAX);
    let frameworks = FrameworksServer::new(frameworks::Frameworks::new(handle.clone()))
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let agents = Metered::new(agents, handle.clone(), Kind::Agent);
    let frameworks = Metered::new(frameworks, handle.clone(), Kind::Framework);
    let join = JoinServer::new(join::Join::new(handle.clone(), guard.known().clone(), reach.security.clone()))
        .max_decoding_message_size(join::MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let limits = LimitList::new(handle.clone(), guard.clone(), Arc::clone(&store));
    let whys = Whys::new(handle.clone());
    let again = Again::new(handle.clone(), Arc::clone(&store), replicas.clone());
    let areas: Vec<Arc<dyn Area>> = vec![
        Arc::new(Metrics::new(handle.clone(), limits.clone(), Arc::clone(&figures), Arc::clone(puller))),
        Arc::new(Mesos::new(handle.clone(), guard.known().clone(), &reach)),
        Arc::new(Pages::new(
            handle.clone(),
            guard.clone(),
            Arc::clone(&logs),
            figures,
            whys.clone(),
            again.clone(),
            &reach,
        )),
    ];
    let known = guard.known().clone();
    let operator = OperatorServer::new(operator::Operator::new(handle, logs, whys, again, known, reach, limits))
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let artifacts = ArtifactsServer::new(artifacts::Artifacts::new(
        store,
        replicas,
        guard.house().transfers().clone(),
        guard.limiter().clone(),
        guard.known().clone(),
        passes,
        Some(Arc::clone(puller)),
    ))
    .max_decoding_message_size(artifacts::MESSAGE_MAX)
    .max_encoding_message_size(artifacts::MESSAGE_MAX);
    let services = Routes::new(agents).add_service(frameworks).add_service(join).add_service(operator);
    guard.protect(services.add_service(artifacts).prepare(), areas)
}

/// What one of several masters answers the others.
pub(crate) fn between_masters(store: Arc<Store>, house: &House, limiter: Limiter) -> Routes {
    let masters = MastersServer::new(masters::Masters::new(store, house.copies().clone(), limiter))
        .max_decoding_message_size(artifacts::MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    Routes::new(masters).prepare()
}

/// Serves until `stopping` resolves and the last call has ended.
pub(crate) async fn serve(
    connections: impl Stream<Item = io::Result<Connection>>,
    switch: Switch,
    stopping: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        // What is no session of gRPC: pages, the API of Mesos, `GET /metrics`.
        .accept_http1(true)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WITHIN))
        .layer(layer_fn(move |_| switch.clone()))
        .add_routes(Routes::default())
        .serve_with_incoming_shutdown(connections, stopping)
        .await
}
