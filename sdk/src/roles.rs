//! What a program may see of roles, and decide of them.

use std::num::NonZeroU32;

use haggle_core::{AgentId, Placement, Quota, Resources};
use haggle_proto::convert::{Malformed, placement};
use haggle_proto::v1;

use crate::client::Client;
use crate::error::CallError;
use crate::operator::{operator, request_bytes};

/// A role. Amounts and shares are those of the role with all roles below it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleInfo {
    /// Its path, like `eng/batch`.
    pub name: String,
    /// Its weight against the other roles below the same one.
    pub weight: u32,
    /// The frameworks in this very role.
    pub frameworks: u64,
    /// Frameworks, of the roles below it too, that would take something that they are not offered.
    pub waiting: u64,
    /// Held by tasks.
    pub used: Resources,
    /// Promised in open offers.
    pub offered: Resources,
    /// Kept for it by agents, used or not.
    pub reserved: Resources,
    /// The dominant share of what is used and offered, from 0 to 1, not divided by the weight.
    pub share: f64,
    /// What share it would have if every role beside it took all that it may.
    pub fair_share: f64,
    /// What it is promised, and may have at most.
    pub quota: Option<Quota>,
    /// Which agents its offers are made of: what was said of it, or of the nearest role above.
    pub placement: Placement,
    /// The least that makes an offer to it, likewise; `None` is that of the cluster.
    pub min_allocatable: Option<Resources>,
}

impl Client {
    /// Every role that has a framework, that is above such a one, or of which an operator has decided something.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn roles(&self) -> Result<Vec<RoleInfo>, CallError> {
        let pieces =
            self.collect(|channel| async move { operator(channel).list_roles(v1::ListRolesRequest {}).await }).await?;
        let roles = pieces.into_iter().flat_map(|piece| piece.roles);
        roles.map(|role| read_role(role).map_err(|source| self.garbled(source))).collect()
    }

    /// Has a role weigh so much against its siblings, from now on and after a restart; `None`: what the master's
    /// configuration says, or 1. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When it is no role, or the master cannot be reached.
    pub async fn set_weight(&self, role: &str, weight: Option<NonZeroU32>) -> Result<(), CallError> {
        let request = request_bytes();
        self.call(|channel| {
            let weight = weight.map(NonZeroU32::get);
            let request = v1::SetWeightRequest { role: role.to_owned(), weight, request: request.clone() };
            async move { operator(channel).set_weight(request).await }
        })
        .await?;
        Ok(())
    }

    /// Reserves for a role so much of what no task holds on an agent: for it and those below it alone, from now on and after a
    /// restart. `within` a role above, it is refined from what is reserved for that. A call that has to be made again is carried out
    /// once.
    ///
    /// # Errors
    /// When there is not as much, the role may not have it, or the master cannot be reached.
    pub async fn reserve(
        &self,
        agent: AgentId,
        role: &str,
        within: Option<&str>,
        resources: &Resources,
    ) -> Result<(), CallError> {
        let request = request_bytes();
        let wanted = v1::Reserve {
            role: role.to_owned(),
            within: within.unwrap_or_default().to_owned(),
            resources: Some(resources.clone().into()),
        };
        self.call(|channel| {
            let reserve = Some(wanted.clone());
            let request = v1::ReserveRequest { agent: agent.0, reserve, request: request.clone() };
            async move { operator(channel).reserve(request).await }
        })
        .await?;
        Ok(())
    }

    /// Ends the reservation of so much of an agent for a role, as far as no task uses it. What was refined is reserved for the role
    /// above again. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When less is reserved and not in use, the agent's own flags reserve it, or the master cannot be reached.
    pub async fn unreserve(&self, agent: AgentId, role: &str, resources: &Resources) -> Result<(), CallError> {
        let request = request_bytes();
        let wanted = v1::Unreserve { role: role.to_owned(), resources: Some(resources.clone().into()) };
        self.call(|channel| {
            let unreserve = Some(wanted.clone());
            let request = v1::UnreserveRequest { agent: agent.0, unreserve, request: request.clone() };
            async move { operator(channel).unreserve(request).await }
        })
        .await?;
        Ok(())
    }

    /// Promises a role so much and lets it have no more than that, with all roles below it, from now on and after a
    /// restart; `None`: nothing is promised, and it may have whatever there is. Offers above a new limit are taken back,
    /// tasks are not. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When it is no role or no quota, or the master cannot be reached. Without `force` also when more would be promised than
    /// all agents have or a role above it may have, or when tasks of the role hold more than it would be allowed.
    pub async fn set_quota(&self, role: &str, quota: Option<&Quota>, force: bool) -> Result<(), CallError> {
        let request = request_bytes();
        self.call(|channel| {
            let quota = quota.cloned().map(Into::into);
            let request = v1::SetQuotaRequest { role: role.to_owned(), quota, force, request: request.clone() };
            async move { operator(channel).set_quota(request).await }
        })
        .await?;
        Ok(())
    }

    /// Has the offers to a role be made of agents chosen like this, from now on and after a restart; `None`: as in the role above
    /// it, or binpack. It counts for frameworks that say what they want. A call that has to be made again is carried out once.
    ///
    /// # Errors
    /// When it is no role, or the master cannot be reached.
    pub async fn set_placement(&self, role: &str, placement: Option<Placement>) -> Result<(), CallError> {
        let request = request_bytes();
        self.call(|channel| {
            let placement = placement.map_or(v1::Placement::Unspecified, Into::into).into();
            let request = v1::SetPlacementRequest { role: role.to_owned(), placement, request: request.clone() };
            async move { operator(channel).set_placement(request).await }
        })
        .await?;
        Ok(())
    }

    /// Offers a role all of this or nothing, from now on and after a restart; `None`: as in the role above it, or the least of the
    /// cluster, which is small. It counts for frameworks that do not say what they want. A call that has to be made again is
    /// carried out once.
    ///
    /// # Errors
    /// When it is no role, or names ports, or the master cannot be reached.
    pub async fn set_min_allocatable(&self, role: &str, least: Option<&Resources>) -> Result<(), CallError> {
        let request = request_bytes();
        self.call(|channel| {
            let least = least.cloned().map(Into::into);
            let request = v1::SetMinAllocatableRequest { role: role.to_owned(), least, request: request.clone() };
            async move { operator(channel).set_min_allocatable(request).await }
        })
        .await?;
        Ok(())
    }
}

fn read_role(role: v1::Role) -> Result<RoleInfo, Malformed> {
    Ok(RoleInfo {
        name: role.name,
        weight: role.weight,
        frameworks: role.frameworks,
        waiting: role.waiting,
        used: role.used.ok_or(Malformed::Missing("used resources of a role"))?.try_into()?,
        offered: role.offered.ok_or(Malformed::Missing("offered resources of a role"))?.try_into()?,
        reserved: role.reserved.map(TryInto::try_into).transpose()?.unwrap_or_default(),
        share: role.share,
        fair_share: role.fair_share,
        quota: role.quota.map(TryInto::try_into).transpose()?,
        placement: placement(role.placement)?.unwrap_or_default(),
        min_allocatable: role.min_allocatable.map(TryInto::try_into).transpose()?,
    })
}
