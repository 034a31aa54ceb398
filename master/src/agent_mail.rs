//! What goes out on an agent's stream: the cluster's orders, and the shell's own words between them.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::AgentOrder;
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::weight::PLAIN;

use crate::inbox::LargePlace;
use crate::outbox::Weigh;

/// One item on its way to an agent.
#[derive(Clone, Debug)]
pub(crate) enum AgentMail {
    /// The cluster decided it.
    Order(AgentOrder),
    /// The same, of something that came in a large message, which takes up its place until this has left.
    Large(AgentOrder, #[expect(dead_code, reason = "it is held, and released when this is dropped")] Arc<LargePlace>),
    /// An operator wants to read a task's output.
    ReadLog(v1::ReadLogOrder),
    /// Somebody looks at what a task uses.
    ReadUsage(v1::ReadUsageOrder),
    /// The master lives, and has heard the agent.
    Heartbeat {
        /// The agent is to renew its certificate, whose authority is ending.
        renew: bool,
        /// How often it is to be heard.
        every: Duration,
    },
}

impl Weigh for AgentMail {
    fn weight(&self) -> usize {
        match self {
            Self::Order(order) | Self::Large(order, _) => order.weight(),
            Self::ReadLog(_) | Self::ReadUsage(_) | Self::Heartbeat { .. } => PLAIN,
        }
    }
}

impl From<AgentMail> for v1::AgentOrder {
    fn from(mail: AgentMail) -> Self {
        let shell = |order| Self { order: Some(order) };
        match mail {
            AgentMail::Order(order) | AgentMail::Large(order, _) => order.into(),
            AgentMail::ReadLog(order) => shell(Order::ReadLog(order)),
            AgentMail::ReadUsage(order) => shell(Order::ReadUsage(order)),
            AgentMail::Heartbeat { renew, every } => {
                let every_ms = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
                shell(Order::Heartbeat(v1::Heartbeat { renew, every_ms }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use haggle_core::{FrameworkId, TaskId, UpdateId};
    use prost::Message;

    use super::*;
    use crate::outbox::{MESSAGE_TARGET, outbox};

    #[tokio::test]
    async fn a_hundred_thousand_acknowledgements_leave_in_messages_that_an_agent_takes() {
        let (outbox, mut mail) = outbox();
        let task = |number| TaskId { framework: FrameworkId(1), number };
        let acknowledge = |number| AgentMail::Order(AgentOrder::Acknowledge(task(number), UpdateId(u64::MAX)));

        outbox.put(&mut (0..100_000).map(acknowledge).collect()).unwrap();
        outbox.close();

        let mut acknowledged = 0;
        while let Some(message) = mail.next().await {
            let orders: Vec<v1::AgentOrder> = message.unwrap().into_iter().map(Into::into).collect();
            acknowledged += orders.len();
            assert!(v1::AgentOrders { orders, epoch: 1, passes: Vec::new() }.encoded_len() <= MESSAGE_TARGET);
        }
        assert_eq!(acknowledged, 100_000);
    }
}
