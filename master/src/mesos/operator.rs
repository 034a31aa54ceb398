//! `POST /api/v1`: what operators ask.

use haggle_core::access::{Principal, Verb};
use haggle_mesos::meaning::VERSION;
use haggle_mesos::wire::master::{
    Call, CallType, GetExecutors, GetFlags, GetHealth, GetMaster, GetMetrics, GetVersion, Response as Said,
    ResponseType, VersionInfo,
};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};

use super::answer::{message, text};
use super::body::{accepted, content, receive};
use super::{Mesos, metrics, watch};
use crate::access::{Caller, wall_clock_ms};

pub(super) async fn answer(mesos: Mesos, caller: Caller, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let format = match content(&head.headers) {
        Ok(format) => format,
        Err(refused) => return Ok(*refused),
    };
    let accepted = match accepted(&head.headers) {
        Ok(accepted) => accepted,
        Err(refused) => return Ok(*refused),
    };
    let bytes = match receive(body, None).await {
        Ok(whole) => whole.bytes,
        Err(refused) => return Ok(*refused),
    };
    let call: Call = match format.read(&bytes) {
        Ok(call) => call,
        Err(unreadable) => return Ok(text(400, format!("{unreadable}, or it is none that is served\n"))),
    };
    let who = caller.principal()?;
    if call.r#type() == CallType::Subscribe {
        who.check(Verb::Watch).map_err(|denied| Status::permission_denied(denied.to_string()))?;
        return watch::answer(mesos, who.clone(), accepted).await;
    }
    match said(&mesos, who, call.r#type()).await? {
        Some(said) => Ok(message(accepted, accepted.write(&said))),
        None => Ok(text(400, "the call has no type, or none that is served\n")),
    }
}

async fn said(mesos: &Mesos, who: &Principal, kind: CallType) -> Result<Option<Said>, Status> {
    let _place = mesos.0.handle.house().list()?;
    let of = |kind: ResponseType| Said { r#type: kind.into(), ..Said::default() };
    let seen = mesos.seen();
    let seconds = wall_clock_ms() as f64 / 1_000.0;
    Ok(Some(match kind {
        CallType::GetHealth => Said { get_health: Some(GetHealth { healthy: true }), ..of(ResponseType::GetHealth) },
        CallType::GetFlags => Said { get_flags: Some(GetFlags::default()), ..of(ResponseType::GetFlags) },
        CallType::GetVersion => {
            let version_info = VersionInfo { version: VERSION.to_owned(), ..VersionInfo::default() };
            Said { get_version: Some(GetVersion { version_info }), ..of(ResponseType::GetVersion) }
        }
        CallType::GetMetrics => {
            let metrics = metrics::of_call(mesos, who).await?;
            Said { get_metrics: Some(GetMetrics { metrics }), ..of(ResponseType::GetMetrics) }
        }
        CallType::GetState => Said { get_state: Some(mesos.state(who).await?), ..of(ResponseType::GetState) },
        CallType::GetAgents => {
            let agents = seen.agents(&mesos.agents(who).await?);
            Said { get_agents: Some(agents), ..of(ResponseType::GetAgents) }
        }
        CallType::GetFrameworks => {
            let frameworks = seen.frameworks(&mesos.frameworks(who).await?);
            Said { get_frameworks: Some(frameworks), ..of(ResponseType::GetFrameworks) }
        }
        CallType::GetExecutors => {
            Said { get_executors: Some(GetExecutors::default()), ..of(ResponseType::GetExecutors) }
        }
        CallType::GetTasks => {
            let tasks = seen.tasks(&mesos.tasks(who).await?, seconds);
            Said { get_tasks: Some(tasks), ..of(ResponseType::GetTasks) }
        }
        CallType::GetRoles => {
            let roles = seen.roles(&mesos.roles(who).await?, &mesos.frameworks(who).await?);
            Said { get_roles: Some(roles), ..of(ResponseType::GetRoles) }
        }
        CallType::GetMaster => {
            let began = seconds - mesos.0.began.elapsed().as_secs_f64();
            let master = GetMaster {
                master_info: Some(mesos.0.master.clone()),
                start_time: Some(began),
                elected_time: Some(began),
            };
            Said { get_master: Some(master), ..of(ResponseType::GetMaster) }
        }
        CallType::Subscribe | CallType::Unknown => return Ok(None),
    }))
}
