//! `haggle.v1`: which services there are.

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

use std::sync::Arc;

use haggle_proto::v1::agents_server::AgentsServer;
use haggle_proto::v1::artifacts_server::ArtifactsServer;
use haggle_proto::v1::frameworks_server::FrameworksServer;
use haggle_proto::v1::join_server::JoinServer;
use haggle_proto::v1::masters_server::MastersServer;
use haggle_proto::v1::operator_server::OperatorServer;
use haggle_proto::{MESSAGE_MAX, ORDERS_MAX};
use tonic::service::Routes;

use crate::access::{Guard, Guarded, Passes};
use crate::again::Again;
use crate::artifacts::Store;
use crate::handle::Handle;
use crate::inbox::Kind;
use crate::limits::{House, Limiter};
use crate::logs::LogRelay;
use crate::mesos::Mesos;
use crate::metrics::{AgentFigures, Metrics};
use crate::pages::{Asked, Pages};
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
pub(crate) use watch::announcements;
pub(crate) use why::Whys;

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
    let metrics = Metrics::new(handle.clone(), limits.clone(), Arc::clone(&figures), Arc::clone(puller));
    let asked = Asked {
        logs: Arc::clone(&logs),
        figures,
        whys: whys.clone(),
        again: again.clone(),
        artifacts: Arc::clone(&store),
    };
    let areas: Vec<Arc<dyn Area>> = vec![
        Arc::new(metrics),
        Arc::new(Mesos::new(handle.clone(), guard.known().clone(), &reach)),
        Arc::new(Pages::new(handle.clone(), guard.clone(), asked, &reach)),
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
