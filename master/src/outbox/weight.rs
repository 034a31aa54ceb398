//! About how many bytes an item holds in memory and on the wire.

use haggle_core::TaskSpec;
use haggle_core::cluster::{AgentOrder, FrameworkEvent};

use crate::agent_mail::AgentMail;

/// What an item without text of its own holds at most.
const PLAIN: usize = 256;

/// Knows about how many bytes it holds. Cheap: asked for every item.
pub(crate) trait Weigh {
    /// In bytes.
    fn weight(&self) -> usize;
}

impl Weigh for FrameworkEvent {
    fn weight(&self) -> usize {
        PLAIN
            + match self {
                Self::Offers(offers) => offers
                    .iter()
                    .map(|offer| {
                        let attributes: usize =
                            offer.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
                        PLAIN + offer.agent_name.len() + attributes
                    })
                    .sum(),
                Self::Rescinded(offers) => size_of_val(offers.as_slice()),
                Self::Update(status) => status.message.len(),
                Self::Error(why) => why.len(),
                Self::Subscribed(_) | Self::AgentLost(_) => 0,
            }
    }
}

impl Weigh for AgentMail {
    fn weight(&self) -> usize {
        PLAIN
            + match self {
                Self::Order(AgentOrder::Launch(spec)) => spec_weight(spec),
                Self::Order(AgentOrder::Refused(why)) => why.len(),
                Self::Order(_) | Self::ReadLog(_) | Self::Heartbeat => 0,
            }
    }
}

fn spec_weight(spec: &TaskSpec) -> usize {
    let args: usize = spec.args.iter().map(|arg| size_of::<String>() + arg.len()).sum();
    let env: usize = spec.env.iter().map(|(name, value)| 2 * size_of::<String>() + name.len() + value.len()).sum();
    let inputs: usize = spec.inputs.iter().map(|input| size_of_val(input) + input.guest_path.len()).sum();
    spec.name.len() + spec.stdin.len() + args + env + inputs
}
