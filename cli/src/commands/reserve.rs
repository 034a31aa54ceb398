//! `haggle reserve` and `haggle unreserve`.

use haggle_core::{AgentId, Resources};

use super::Verdict;
use super::roles::amounts;
use crate::args::{ReserveArgs, UnreserveArgs};
use crate::output;
use crate::output::record::ResourcesRecord;
use crate::target::Target;

pub(super) async fn reserve(target: &Target, args: ReserveArgs) -> Verdict {
    let resources = args.amounts.resources();
    let client = super::connect(target).await?;
    client.reserve(args.agent, &args.role, args.within.as_deref(), &resources).await?;
    tell(args.agent, &args.role, &resources, args.list.json, "is reserved for")
}

pub(super) async fn unreserve(target: &Target, args: UnreserveArgs) -> Verdict {
    let resources = args.amounts.resources();
    super::connect(target).await?.unreserve(args.agent, &args.role, &resources).await?;
    tell(args.agent, &args.role, &resources, args.list.json, "is no longer reserved for")
}

fn tell(agent: AgentId, role: &str, resources: &Resources, json: bool, what: &str) -> Verdict {
    let record = ResourcesRecord::from(resources);
    output::said(
        json,
        &serde_json::json!({ "agent": agent.to_string(), "role": role, "resources": record }),
        &format!("{} of {agent} {what} {role}", amounts(resources)),
    )?;
    Ok(0)
}
