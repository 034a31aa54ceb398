//! What a runner tells of its tasks.

use std::fmt;
use std::time::Duration;

use haggle_core::{AgentId, Resources, TaskId, TaskStatus};

use super::inventory::Lack;

/// News of one task of a list, named by its `index` there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing could be launched for five seconds. Told once; again only after something was launched since.
    Waiting {
        /// The task that has waited longest.
        index: u64,
        /// For how long.
        since: Duration,
        /// How many wait, this one among them.
        waiting: usize,
        /// Why.
        why: WaitReason,
    },
    /// It is on its way to an agent.
    Launched {
        /// Which task.
        index: u64,
        /// Its name in the cluster, another one at every launch.
        task: TaskId,
        /// Where it goes.
        agent: AgentId,
        /// That agent's name for people.
        agent_name: String,
        /// 1 at the first launch.
        attempt: u32,
    },
    /// It runs.
    Running {
        /// Which task.
        index: u64,
        /// Its name in the cluster.
        task: TaskId,
    },
    /// A launch came to nothing, and there will be another one.
    Retrying {
        /// Which task.
        index: u64,
        /// How the launch ended.
        status: TaskStatus,
        /// After which rest.
        rest: Duration,
    },
    /// It has ended, and will not be launched again.
    Ended(Outcome),
}

/// How a task came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its place in the list.
    pub index: u64,
    /// Its label.
    pub name: String,
    /// The last that was said of its last launch; `None` when it was cancelled before it was ever launched.
    pub status: Option<TaskStatus>,
    /// The name of the agent of its last launch.
    pub agent_name: Option<String>,
    /// How often it was launched.
    pub attempts: u32,
}

/// Why a task waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The connection to the master is lost.
    MasterAway,
    /// There is no agent at all.
    NoAgents,
    /// There is no agent now that could ever run it, though there was one.
    NoAgentLargeEnough {
        /// What it wants.
        wants: Resources,
    },
    /// There are agents, and none is now what it needs.
    NoAgentSuits {
        /// What they lack.
        lacks: Vec<Lack>,
    },
    /// Agents that could run it are free in part, and none is free enough.
    TooLittleFree {
        /// What it wants.
        wants: Resources,
        /// The one of them with the most that is free.
        agent_name: String,
        /// How much that is.
        free: Resources,
    },
    /// There is room for it, and the master offers none of that: its role may be at its limit, or the room be kept for others.
    NotOffered {
        /// What it wants.
        wants: Resources,
        /// An agent that has as much free.
        agent_name: String,
    },
    /// Every agent that could run it is busy, or promised to others.
    AgentsBusy {
        /// What it wants.
        wants: Resources,
        /// Tasks of the same list that hold resources now.
        running: usize,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MasterAway => f.write_str("the connection to the master is lost"),
            Self::NoAgents => f.write_str("no agent has joined the cluster"),
            Self::NoAgentLargeEnough { wants } => write!(f, "wants {wants}, and no agent is as large as that now"),
            Self::NoAgentSuits { lacks } => f.write_str(&Lack::in_words(lacks)),
            Self::TooLittleFree { wants, agent_name, free } => {
                write!(f, "wants {wants}, and the most that is free on one agent is {free} on {agent_name}")
            }
            Self::NotOffered { wants, agent_name } => {
                write!(f, "wants {wants}, and the master offers nothing of what is free on {agent_name}")
            }
            Self::AgentsBusy { wants, running: 0 } => {
                write!(f, "wants {wants}, and every agent that has as much is busy with tasks of others")
            }
            Self::AgentsBusy { wants, running } => {
                write!(f, "wants {wants}, and every agent that has as much is busy; {running} of these tasks run")
            }
        }
    }
}
