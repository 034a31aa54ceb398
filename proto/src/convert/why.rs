//! Why a framework has not what it wants.

use std::time::Duration;

use haggle_core::allocator::{Ahead, Hindrance, Lacking, Obstacle};
use haggle_core::cluster::{AheadView, Why};
use haggle_core::resources::Share;
use haggle_core::{AgentId, FrameworkId, MilliCpu};

use super::operator::{count, size};
use super::resources::amount;
use super::task::millis;
use super::upkeep::withheld_of;
use super::{Malformed, required};
use crate::v1;
use crate::v1::hindrance;

impl From<Why> for v1::WhyResponse {
    fn from(why: Why) -> Self {
        Self {
            framework: why.framework.0,
            name: why.name,
            role: why.role,
            roles: why.roles,
            waits_ms: why.waits_for.map(millis),
            offers: count(why.offers),
            rank: why.rank.map(count),
            ranked: count(why.ranked),
            ahead: why.ahead.into_iter().map(Into::into).collect(),
            hindrances: why.hindrances.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::WhyResponse> for Why {
    type Error = Malformed;

    fn try_from(wire: v1::WhyResponse) -> Result<Self, Malformed> {
        Ok(Self {
            framework: FrameworkId(wire.framework),
            name: wire.name,
            role: wire.role,
            roles: wire.roles,
            waits_for: wire.waits_ms.map(Duration::from_millis),
            offers: size(wire.offers),
            rank: wire.rank.map(size),
            ranked: size(wire.ranked),
            ahead: wire.ahead.into_iter().map(Into::into).collect(),
            hindrances: wire.hindrances.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<AheadView> for v1::Ahead {
    fn from(AheadView { name, ahead }: AheadView) -> Self {
        let Ahead { framework, role, under, share, than } = ahead;
        let (share, than) = (share.as_millionths(), than.as_millionths());
        Self { framework: framework.0, name, role, under, share, than }
    }
}

impl From<v1::Ahead> for AheadView {
    fn from(wire: v1::Ahead) -> Self {
        let v1::Ahead { framework, name, role, under, share, than } = wire;
        let [share, than] = [share, than].map(|millionths| Share::new(millionths, 1_000_000));
        Self { name, ahead: Ahead { framework: FrameworkId(framework), role, under, share, than } }
    }
}

impl From<Lacking> for v1::Lacking {
    fn from(Lacking { agent, lacks }: Lacking) -> Self {
        Self { agent: agent.0, lacks: (!lacks.is_empty()).then(|| lacks.into()) }
    }
}

impl TryFrom<v1::Lacking> for Lacking {
    type Error = Malformed;

    fn try_from(wire: v1::Lacking) -> Result<Self, Malformed> {
        let lacks = wire.lacks.map(TryInto::try_into).transpose()?.unwrap_or_default();
        Ok(Self { agent: AgentId(wire.agent), lacks })
    }
}

impl From<Hindrance> for v1::Hindrance {
    fn from(hindrance: Hindrance) -> Self {
        Self {
            want: hindrance.want.map(Into::into),
            agents: count(hindrance.agents),
            nearest: hindrance.nearest.into_iter().map(Into::into).collect(),
            age_ms: hindrance.age.map(millis),
            obstacle: Some(hindrance.obstacle.into()),
        }
    }
}

impl TryFrom<v1::Hindrance> for Hindrance {
    type Error = Malformed;

    fn try_from(wire: v1::Hindrance) -> Result<Self, Malformed> {
        Ok(Self {
            obstacle: required(wire.obstacle, "obstacle of a hindrance")?.try_into()?,
            want: wire.want.map(TryInto::try_into).transpose()?,
            agents: size(wire.agents),
            nearest: wire.nearest.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            age: wire.age_ms.map(Duration::from_millis),
        })
    }
}

impl From<Obstacle> for hindrance::Obstacle {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::NotConnected => Self::NotConnected(v1::NotConnected {}),
            Obstacle::Suppressed => Self::Suppressed(v1::Suppressed {}),
            Obstacle::WantsNothing => Self::WantsNothing(v1::WantsNothing {}),
            Obstacle::NoAgent => Self::NoAgent(v1::NoAgent {}),
            Obstacle::AtLimit { role, limit, has } => {
                Self::AtLimit(v1::AtLimit { role, limit: Some(limit.into()), has: Some(has.into()) })
            }
            Obstacle::KeptForOthers { kept } => Self::KeptForOthers(v1::KeptForOthers { kept: Some(kept.into()) }),
            Obstacle::Withheld(withheld) => Self::Withheld(withheld_of(withheld).into()),
            Obstacle::Constraint(constraint) => Self::Constraint(constraint.into()),
            Obstacle::TooLarge { largest } => Self::TooLarge(v1::TooLarge { largest: Some(largest.into()) }),
            Obstacle::Reserved { reserved } => {
                Self::Reserved(v1::ReservedForOthers { reserved: Some(reserved.into()) })
            }
            Obstacle::NoVolume(volume) => Self::NoVolume(volume.into()),
            Obstacle::VolumeInUse(volume) => Self::VolumeInUse(volume.into()),
            Obstacle::NotUnused { most } => Self::NotUnused(v1::NotUnused { most_milli_cpus: most.get() }),
            Obstacle::InUse { free } => Self::InUse(v1::InUse { free: Some(free.into()) }),
            Obstacle::Offered { to, age } => {
                Self::Offered(v1::HeldInOffers { to: to.map(|to| to.0), age_ms: millis(age) })
            }
            Obstacle::Gang { tasks, fit } => Self::Gang(v1::GangWithoutRoom { tasks, fit }),
            Obstacle::Refused { lasts } => Self::Refused(v1::RefusedBefore { lasts_ms: millis(lasts) }),
        }
    }
}

impl TryFrom<hindrance::Obstacle> for Obstacle {
    type Error = Malformed;

    fn try_from(wire: hindrance::Obstacle) -> Result<Self, Malformed> {
        use hindrance::Obstacle as Wire;
        Ok(match wire {
            Wire::NotConnected(_) => Self::NotConnected,
            Wire::Suppressed(_) => Self::Suppressed,
            Wire::WantsNothing(_) => Self::WantsNothing,
            Wire::NoAgent(_) => Self::NoAgent,
            Wire::AtLimit(v1::AtLimit { role, limit, has }) => Self::AtLimit {
                role,
                limit: required(limit, "limit that a role is at")?.try_into()?,
                has: required(has, "resources of a role at its limit")?.try_into()?,
            },
            Wire::KeptForOthers(wire) => {
                Self::KeptForOthers { kept: required(wire.kept, "resources kept for others")?.try_into()? }
            }
            Wire::Withheld(withheld) => Self::Withheld(super::upkeep::withheld(withheld)?),
            Wire::Constraint(constraint) => Self::Constraint(constraint.try_into()?),
            Wire::TooLarge(wire) => {
                Self::TooLarge { largest: required(wire.largest, "resources of the largest agent")?.try_into()? }
            }
            Wire::NoVolume(volume) => Self::NoVolume(volume.into()),
            Wire::VolumeInUse(volume) => Self::VolumeInUse(volume.into()),
            Wire::Reserved(wire) => {
                let reserved = required(wire.reserved, "resources reserved for others")?;
                Self::Reserved { reserved: reserved.try_into()? }
            }
            Wire::NotUnused(wire) => {
                Self::NotUnused { most: MilliCpu::new(amount("most_milli_cpus", wire.most_milli_cpus)?) }
            }
            Wire::InUse(wire) => Self::InUse { free: required(wire.free, "resources that are free")?.try_into()? },
            Wire::Offered(wire) => {
                Self::Offered { to: wire.to.map(FrameworkId), age: Duration::from_millis(wire.age_ms) }
            }
            Wire::Gang(v1::GangWithoutRoom { tasks, fit }) => Self::Gang { tasks, fit },
            Wire::Refused(wire) => Self::Refused { lasts: Duration::from_millis(wire.lasts_ms) },
        })
    }
}
