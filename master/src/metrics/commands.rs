//! What the driver was told, counted by kind.

use haggle_core::cluster::{AgentCommand, Command, FrameworkCommand};

macro_rules! kinds {
    ($($kind:ident $name:literal)*) => {
        /// A kind of command. An agent or a framework that comes back is another kind than one that is new.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum CommandKind { $($kind,)* }

        impl CommandKind {
            /// Every one.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            /// As metrics call it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    RegisterAgent      "register_agent"
    ReregisterAgent    "reregister_agent"
    Holds              "holds"
    StatusUpdate       "status_update"
    QueueUpdate        "queue_update"
    Volumes            "volumes"
    Unused             "unused"
    DrainAgent         "drain_agent"
    UnregisterAgent    "unregister_agent"
    Subscribe          "subscribe"
    Resubscribe        "resubscribe"
    Accept             "accept"
    Launch             "launch"
    LaunchGroup        "launch_group"
    Open               "open"
    Enqueue            "enqueue"
    Decline            "decline"
    AcceptInverse      "accept_inverse"
    DeclineInverse     "decline_inverse"
    Revive             "revive"
    Suppress           "suppress"
    Demand             "demand"
    UpdateFramework    "update_framework"
    Kill               "kill"
    Acknowledge        "acknowledge"
    Reconcile          "reconcile"
    Teardown           "teardown"
    Operator           "operator"
}

impl CommandKind {
    /// What a command is, and how many of these: one, but for what always comes as a list. `None`: nobody says it, or it says no more
    /// than that somebody lives.
    pub(crate) fn of(command: &Command) -> Option<(Self, u64)> {
        Some(match command {
            Command::Agent(_, command) => return of_agent(command),
            Command::Framework(_, call) => match &call.command {
                FrameworkCommand::Acknowledge(updates) => (Self::Acknowledge, updates.len() as u64),
                command => (of_framework(command), 1),
            },
            Command::Operator(..) => (Self::Operator, 1),
            Command::Connected(..) | Command::Disconnected(_) | Command::Tick | Command::WallClock(_) => return None,
        })
    }
}

fn of_agent(command: &AgentCommand) -> Option<(CommandKind, u64)> {
    Some(match command {
        AgentCommand::Register { identity, .. } => match identity.member {
            Some(_) => (CommandKind::ReregisterAgent, 1),
            None => (CommandKind::RegisterAgent, 1),
        },
        AgentCommand::Holds { .. } | AgentCommand::HoldsQueues { .. } => (CommandKind::Holds, 1),
        AgentCommand::Updates(updates) => (CommandKind::StatusUpdate, updates.len() as u64),
        AgentCommand::QueueUpdates(updates) => (CommandKind::QueueUpdate, updates.len() as u64),
        AgentCommand::Volumes(_) => (CommandKind::Volumes, 1),
        AgentCommand::Unused(_) => (CommandKind::Unused, 1),
        AgentCommand::Drain => (CommandKind::DrainAgent, 1),
        AgentCommand::Leave => (CommandKind::UnregisterAgent, 1),
        AgentCommand::Heartbeat => return None,
    })
}

fn of_framework(command: &FrameworkCommand) -> CommandKind {
    match command {
        FrameworkCommand::Subscribe { member: None, .. } => CommandKind::Subscribe,
        FrameworkCommand::Subscribe { member: Some(_), .. } => CommandKind::Resubscribe,
        FrameworkCommand::Accept { tasks, .. } if tasks.is_empty() => CommandKind::Accept,
        FrameworkCommand::Accept { .. } => CommandKind::Launch,
        FrameworkCommand::LaunchGroup { .. } => CommandKind::LaunchGroup,
        FrameworkCommand::Open { .. } => CommandKind::Open,
        FrameworkCommand::Enqueue { .. } => CommandKind::Enqueue,
        FrameworkCommand::Decline { .. } => CommandKind::Decline,
        FrameworkCommand::AcceptInverse(_) => CommandKind::AcceptInverse,
        FrameworkCommand::DeclineInverse { .. } => CommandKind::DeclineInverse,
        FrameworkCommand::Revive { .. } => CommandKind::Revive,
        FrameworkCommand::Suppress { .. } => CommandKind::Suppress,
        FrameworkCommand::Demand { .. } => CommandKind::Demand,
        FrameworkCommand::Update(_) => CommandKind::UpdateFramework,
        FrameworkCommand::Kill(_) => CommandKind::Kill,
        FrameworkCommand::Acknowledge(_) => CommandKind::Acknowledge,
        FrameworkCommand::Reconcile(_) => CommandKind::Reconcile,
        FrameworkCommand::Teardown => CommandKind::Teardown,
    }
}

/// How many commands of each kind were carried out, and how many refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    done: [u64; CommandKind::ALL.len()],
    refused: [u64; CommandKind::ALL.len()],
}

impl Commands {
    /// So many of a kind were heard, and `refused` or carried out.
    pub(crate) fn hears(&mut self, (kind, count): (CommandKind, u64), refused: bool) {
        let counts = if refused { &mut self.refused } else { &mut self.done };
        counts[kind as usize] += count;
    }

    /// Those of a kind that were heard, whatever became of them.
    pub(crate) fn heard(&self, kind: CommandKind) -> u64 {
        self.carried_out(kind) + self.refused(kind)
    }

    /// Those of a kind that were not refused.
    pub(crate) fn carried_out(&self, kind: CommandKind) -> u64 {
        self.done[kind as usize]
    }

    /// Those of a kind that were refused.
    pub(crate) fn refused(&self, kind: CommandKind) -> u64 {
        self.refused[kind as usize]
    }
}
