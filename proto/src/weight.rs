//! About how many bytes an item holds in memory and on the wire, and how one that is too large is divided.

use haggle_core::cluster::{AgentOrder, FrameworkEvent};
use haggle_core::resources::PortRange;
use haggle_core::{
    Folder, FolderSource, Grants, InverseOffer, InverseOfferId, Offer, OfferId, OfferOperation, QueueUpdate, Reserved,
    Resources, TaskSpec, Volume, VolumeOperation,
};

use crate::v1;
use crate::v1::agent_report::Report;

/// What an item without text of its own holds at most, in bytes.
pub const PLAIN: usize = 256;

/// Knows about how many bytes it holds. Cheap: asked for every item.
pub trait Weigh: Sized {
    /// In bytes.
    fn weight(&self) -> usize;

    /// The same in items of at most `max` bytes each, as far as it can be divided.
    fn split(self, _max: usize) -> Vec<Self> {
        vec![self]
    }
}

impl Weigh for FrameworkEvent {
    fn weight(&self) -> usize {
        PLAIN
            + match self {
                Self::Offers(offers) => offers.iter().map(offer_weight).sum(),
                Self::Rescinded(offers) => ids_weight(offers),
                Self::InverseOffers(offers) => inverse_weight(offers),
                Self::InverseRescinded(offers) => ids_weight(offers),
                Self::Update(status) => status.message.len(),
                Self::Queue(update) => queue_weight(update),
                Self::Error(why) => why.len(),
                Self::OperationDropped { operation, why } => why.len() + operation_weight(operation),
                Self::Subscribed { .. } | Self::AgentLost(_) => 0,
            }
    }

    fn split(self, max: usize) -> Vec<Self> {
        let room = max - PLAIN;
        match self {
            Self::Offers(offers) => parts(offers, room, offer_weight).into_iter().map(Self::Offers).collect(),
            Self::Rescinded(offers) => {
                let weight = |offer: &OfferId| ids_weight(std::slice::from_ref(offer));
                parts(offers, room, weight).into_iter().map(Self::Rescinded).collect()
            }
            Self::InverseOffers(offers) => {
                let weight = |offer: &InverseOffer| inverse_weight(std::slice::from_ref(offer));
                parts(offers, room, weight).into_iter().map(Self::InverseOffers).collect()
            }
            Self::InverseRescinded(offers) => {
                let weight = |offer: &InverseOfferId| ids_weight(std::slice::from_ref(offer));
                parts(offers, room, weight).into_iter().map(Self::InverseRescinded).collect()
            }
            whole => vec![whole],
        }
    }
}

/// A launch alone can be large, and what came in as one message goes out as one.
impl Weigh for AgentOrder {
    fn weight(&self) -> usize {
        PLAIN
            + match self {
                Self::Launch(spec) => spec_weight(spec),
                Self::Enqueue { tasks, .. } => tasks.iter().map(|tasks| PLAIN + spec_weight(&tasks.spec)).sum(),
                Self::Open(spec) => {
                    spec.name.len() + size_of_val(spec.volumes.as_slice()) + resources_weight(&spec.resources)
                }
                Self::End { why, .. } => why.len(),
                Self::Refused(rejection) => rejection.why().len(),
                _ => 0,
            }
    }
}

/// The agent cuts what it reports to size.
impl Weigh for v1::AgentReport {
    fn weight(&self) -> usize {
        /// An end in a queue, which seldom has a message.
        const END: usize = 64;
        match &self.report {
            Some(Report::Log(chunk)) => chunk.data.len(),
            Some(Report::Updates(updates)) => {
                updates.statuses.iter().map(|status| status_weight(&status.message)).sum()
            }
            Some(Report::QueueUpdates(updates)) => {
                updates.updates.iter().map(|update| update.ended.len() * END + update.started.len() * 10).sum()
            }
            _ => 0,
        }
    }
}

/// About how many bytes a status with this message takes on the wire.
pub fn status_weight(message: &str) -> usize {
    /// Everything in it that is a number.
    const NUMBERS: usize = 128;
    NUMBERS + message.len()
}

/// Consecutive items, as many in each part as weigh no more than `room`; one that weighs more is a part of its own.
fn parts<T>(items: Vec<T>, room: usize, weight: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    let (mut part, mut weighs) = (Vec::new(), 0);
    for item in items {
        let more = weight(&item);
        if weighs + more > room && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            weighs = 0;
        }
        weighs += more;
        part.push(item);
    }
    parts.push(part);
    parts
}

fn offer_weight(offer: &Offer) -> usize {
    let attributes: usize = offer.attributes.iter().map(|(name, value)| entry(name) + value.len()).sum();
    PLAIN
        + offer.agent_name.len()
        + offer.role.len()
        + reserved_weight(&offer.reserved)
        + offer.volumes.iter().map(volume_weight).sum::<usize>()
        + attributes
        + resources_weight(&offer.resources)
}

fn reserved_weight(reserved: &[Reserved]) -> usize {
    let one = |part: &Reserved| {
        let roles: usize = part.reservation.roles().iter().map(|role| entry(role)).sum();
        PLAIN + roles + resources_weight(&part.resources)
    };
    reserved.iter().map(one).sum()
}

fn operation_weight(operation: &OfferOperation) -> usize {
    match operation {
        OfferOperation::Reservation(operation) => operation.role().len() + resources_weight(operation.resources()),
        OfferOperation::Volume(VolumeOperation::Create { role, name, .. }) => role.len() + name.len(),
        OfferOperation::Volume(VolumeOperation::Destroy(_) | VolumeOperation::Share { .. }) => 0,
    }
}

fn volume_weight(volume: &Volume) -> usize {
    let roles: usize = volume.reservation.roles().iter().map(|role| entry(role)).sum();
    PLAIN + volume.name.len() + volume.creator.name.len() + roles
}

fn queue_weight(update: &QueueUpdate) -> usize {
    let ended: usize = update.ended.iter().map(|end| size_of_val(end) + end.ending.message.len()).sum();
    ended + size_of_val(update.started.as_slice())
}

/// An id takes at most ten bytes on the wire.
fn ids_weight<Id>(ids: &[Id]) -> usize {
    10 * ids.len()
}

/// Two ids, two numbers and what frames them.
fn inverse_weight(offers: &[InverseOffer]) -> usize {
    48 * offers.len()
}

fn spec_weight(spec: &TaskSpec) -> usize {
    let args: usize = spec.args.iter().map(|arg| size_of::<String>() + arg.len()).sum();
    let env: usize = spec.env.iter().map(|(name, value)| entry(name) + value.len()).sum();
    let inputs: usize = spec.inputs.iter().map(|input| size_of_val(input) + input.guest_path.len()).sum();
    let own = spec.name.len() + spec.role.len() + spec.stdin.len();
    own + args + env + inputs + resources_weight(&spec.resources) + grants_weight(&spec.grants)
}

fn resources_weight(resources: &Resources) -> usize {
    let scalars: usize = resources.scalars().map(|(name, _)| entry(name)).sum();
    size_of::<PortRange>() * 4 * resources.ports.ranges().len() + scalars
}

fn grants_weight(grants: &Grants) -> usize {
    let folder = |folder: &Folder| {
        let source = match &folder.source {
            FolderSource::Scratch(source) | FolderSource::Host(source) => source.len(),
            FolderSource::Volume { .. } => 0,
        };
        entry(&folder.guest_path) + source
    };
    let folders: usize = grants.folders.iter().map(folder).sum();
    let net: usize = grants.net.iter().map(|endpoint| entry(&endpoint.host)).sum();
    let http: usize = grants.http.iter().map(|host| entry(&host.host)).sum();
    folders + net + http
}

/// A name and a small value.
fn entry(name: &str) -> usize {
    2 * size_of::<String>() + name.len()
}
