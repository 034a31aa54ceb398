//! Amounts and operations as Python says them.

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_sdk::{
    Amount, Bytes, Ceiling, MilliCpu, OfferOperation, Operation, Quota, Resources, VolumeId, VolumeOperation,
};
use pyo3::{FromPyObject, PyResult, pyfunction};

use crate::error::unreadable;

/// A dictionary with every key of these. Cores are texts, as everywhere in Haggle; memory and disk are bytes.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Amounts {
    cpus: String,
    mem: u64,
    disk: u64,
    revocable: String,
    scalars: BTreeMap<String, String>,
}

impl Amounts {
    /// The same as the SDK has them.
    ///
    /// # Errors
    /// When a text is no amount.
    pub(crate) fn resources(self) -> PyResult<Resources> {
        let plain = Resources::new(cores(&self.cpus)?, Bytes::new(self.mem), Bytes::new(self.disk));
        let mut resources = plain.with_revocable(cores(&self.revocable)?);
        for (name, amount) in self.scalars {
            resources = resources.with_scalar(&name, cores(&amount)?.get());
        }
        Ok(resources)
    }
}

/// What is promised, and the most that there may be. What is not there has no bound.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct QuotaSpec {
    guarantee: Amounts,
    cpus: Option<String>,
    mem: Option<u64>,
    disk: Option<u64>,
    scalars: BTreeMap<String, String>,
}

impl QuotaSpec {
    /// The same as the SDK has it.
    ///
    /// # Errors
    /// When a text is no amount.
    pub(crate) fn quota(self) -> PyResult<Quota> {
        let scalars = self.scalars.into_iter().map(|(name, amount)| Ok((name, cores(&amount)?.get())));
        let limit = Ceiling {
            cpus: self.cpus.as_deref().map(cores).transpose()?,
            mem: self.mem.map(Bytes::new),
            disk: self.disk.map(Bytes::new),
            scalars: scalars.collect::<PyResult<_>>()?,
        };
        Ok(Quota { guarantee: self.guarantee.resources()?, limit })
    }
}

/// An operation in an accept, told by its first key.
#[derive(FromPyObject)]
pub(crate) enum OperationSpec {
    Reserve {
        #[pyo3(item("reserve"))]
        resources: Amounts,
        #[pyo3(item("role"))]
        role: String,
        #[pyo3(item("within"))]
        within: Option<String>,
    },
    Unreserve {
        #[pyo3(item("unreserve"))]
        resources: Amounts,
        #[pyo3(item("role"))]
        role: String,
    },
    Create {
        #[pyo3(item("create"))]
        name: String,
        #[pyo3(item("role"))]
        role: String,
        #[pyo3(item("size"))]
        size: u64,
    },
    Destroy {
        #[pyo3(item("destroy"))]
        volume: String,
    },
    Share {
        #[pyo3(item("share"))]
        volume: String,
        #[pyo3(item("shared"))]
        shared: bool,
    },
}

impl OperationSpec {
    /// The same as the SDK has it.
    ///
    /// # Errors
    /// When a text is no amount or no id.
    pub(crate) fn operation(self) -> PyResult<OfferOperation> {
        let volume = |text: &str| text.parse::<VolumeId>().map_err(unreadable);
        Ok(match self {
            Self::Reserve { resources, role, within } => {
                Operation::Reserve { role, within, resources: resources.resources()? }.into()
            }
            Self::Unreserve { resources, role } => {
                Operation::Unreserve { role, resources: resources.resources()? }.into()
            }
            Self::Create { name, role, size } => VolumeOperation::Create { role, name, size: Bytes::new(size) }.into(),
            Self::Destroy { volume: id } => VolumeOperation::Destroy(volume(&id)?).into(),
            Self::Share { volume: id, shared } => VolumeOperation::Share { volume: volume(&id)?, shared }.into(),
        })
    }
}

/// A number of cores, or of anything else that is counted in thousandths.
///
/// # Errors
/// When the text is none.
pub(crate) fn cores(text: &str) -> PyResult<MilliCpu> {
    Amount::<MilliCpu>::read(text).map_err(unreadable)
}

/// A time in seconds.
///
/// # Errors
/// When it is negative, no number, or longer than can be written down.
pub(crate) fn seconds(time: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(time).map_err(unreadable)
}

/// The bytes that a text like `64MiB` says.
#[pyfunction]
pub(crate) fn size(text: &str) -> PyResult<u64> {
    Amount::<Bytes>::read(text).map(Bytes::get).map_err(unreadable)
}
