//! What a framework wants, and where.

use haggle_core::{Constraint, Test, Want};

use super::volume::{ids, read_ids};
use super::{Malformed, required};
use crate::v1;
use crate::v1::constraint;

impl From<Want> for v1::Want {
    fn from(want: Want) -> Self {
        Self {
            resources: Some(want.resources.into()),
            constraints: want.constraints.into_iter().map(Into::into).collect(),
            volumes: ids(want.volumes),
            waiting: want.waiting,
            spare: want.spare,
            gang: want.gang,
        }
    }
}

impl TryFrom<v1::Want> for Want {
    type Error = Malformed;

    fn try_from(wire: v1::Want) -> Result<Self, Malformed> {
        Ok(Self {
            resources: required(wire.resources, "resources of a want")?.try_into()?,
            constraints: wire.constraints.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            volumes: read_ids(wire.volumes),
            waiting: wire.waiting,
            spare: wire.spare,
            gang: wire.gang,
        })
    }
}

impl From<Constraint> for v1::Constraint {
    fn from(Constraint { attribute, test }: Constraint) -> Self {
        let test = match test {
            Test::Exists => constraint::Test::Exists(true),
            Test::NotExists => constraint::Test::Exists(false),
            Test::Equals(value) => constraint::Test::Equals(value),
            Test::NotEquals(value) => constraint::Test::NotEquals(value),
        };
        Self { attribute, test: Some(test) }
    }
}

impl TryFrom<v1::Constraint> for Constraint {
    type Error = Malformed;

    fn try_from(wire: v1::Constraint) -> Result<Self, Malformed> {
        let test = match required(wire.test, "test of a constraint")? {
            constraint::Test::Exists(true) => Test::Exists,
            constraint::Test::Exists(false) => Test::NotExists,
            constraint::Test::Equals(value) => Test::Equals(value),
            constraint::Test::NotEquals(value) => Test::NotEquals(value),
        };
        Ok(Self { attribute: wire.attribute, test })
    }
}
