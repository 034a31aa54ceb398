//! An agent without tasks of its own: it speaks as a real one over a connection of its own, and holds what it says.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{AgentCommand, AgentIdentity, HeldTask};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, FrameworkId, Member, MilliCpu, Resources, TaskId, TaskState, UpdateId,
};
use haggle_kit::Home;
use haggle_proto::MESSAGE_MAX;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::{AgentRegistered, AgentReport, AgentReports};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::world::Masters;

/// As the real one's.
const HEARTBEAT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two attempts, as the real one's at most where there are several masters.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Simulated {
    pub(super) number: u64,
    pub(super) framework: FrameworkId,
    /// How many it holds, once `holds` is true.
    pub(super) tasks: u64,
    pub(super) holds: watch::Receiver<bool>,
}

impl Simulated {
    /// Keeps a session with whoever leads.
    pub(super) async fn live(self, home: Home, masters: Arc<Masters>) {
        let mut member = None;
        loop {
            if let Some(address) = masters.address() {
                // Whatever ended it, there is another one.
                let _ = self.session(&home, &format!("http://{address}"), &mut member).await;
            }
            sleep(PAUSE).await;
        }
    }

    async fn session(&self, home: &Home, url: &str, member: &mut Option<Member<AgentId>>) -> anyhow::Result<()> {
        let connection = timeout(CONNECT_TIMEOUT, home.for_session(url)).await??;
        let (reports, waiting) = mpsc::channel(4);
        let say = async |command: AgentCommand| {
            reports.send(AgentReports { reports: vec![AgentReport::from(command)] }).await
        };
        say(self.registration(*member)).await?;
        let mut agents = AgentsClient::new(connection).max_decoding_message_size(MESSAGE_MAX);
        let mut orders = agents.session(ReceiverStream::new(waiting)).await?.into_inner();
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = orders.message() => {
                    let heard = heard?.ok_or_else(|| anyhow::anyhow!("the master closed the session"))?;
                    for order in heard.orders {
                        match order.order {
                            Some(Order::Registered(AgentRegistered { member: Some(given), .. })) => {
                                *member = Some(given.try_into()?);
                            }
                            Some(Order::Refused(why)) => anyhow::bail!("{why:?}"),
                            _ => {}
                        }
                    }
                }
                _ = heartbeat.tick() => say(AgentCommand::Heartbeat).await?,
            }
        }
    }

    fn registration(&self, member: Option<Member<AgentId>>) -> AgentCommand {
        let each = Resources::new(MilliCpu::new(100), Bytes::from_mib(16), Bytes::ZERO);
        let has = Resources::new(MilliCpu::from_cores(4), Bytes::from_mib(1024), Bytes::ZERO);
        let task = |of: u64| HeldTask {
            id: TaskId { framework: self.framework, number: self.number * self.tasks + of + 1 },
            name: "held".to_owned(),
            role: "role".to_owned(),
            volumes: Vec::new(),
            module: None,
            resources: each.clone(),
            state: TaskState::Running,
            update: UpdateId(1),
            group: None,
            trace: None,
            life: None,
        };
        let holds = *self.holds.borrow();
        AgentCommand::Register {
            identity: AgentIdentity { member, key: AgentKey(u128::from(self.number) + 1), run: self.number + 1 },
            info: AgentInfo { name: format!("simulated{}", self.number), resources: has, ..AgentInfo::default() },
            tasks: if holds { (0..self.tasks).map(task).collect() } else { Vec::new() },
            complete: true,
        }
    }
}
