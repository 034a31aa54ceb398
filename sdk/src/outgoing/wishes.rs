//! What was last said of offers in general, for all roles and for each.

use haggle_core::cluster::FrameworkCommand;

/// To suppress or to revive offers, or what is wanted: what each later session is opened with. What was said for all roles
/// comes first, and what was said for one of them after that behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes(Vec<FrameworkCommand>);

impl Wishes {
    /// The last that was said of a role counts.
    pub(super) fn say(&mut self, wish: FrameworkCommand) {
        self.0.retain(|before| !supersedes(&wish, before));
        self.0.push(wish);
    }

    /// The framework is in these roles alone.
    pub(super) fn keep(&mut self, roles: &[String]) {
        self.0.retain(|wish| role_of(wish).is_none_or(|role| roles.contains(role)));
    }

    pub(super) fn all(&self) -> Vec<FrameworkCommand> {
        self.0.clone()
    }
}

/// Whether a command only says if and which offers are wanted.
pub(super) fn is_wish(command: &FrameworkCommand) -> bool {
    matches!(
        command,
        FrameworkCommand::Suppress { .. } | FrameworkCommand::Revive { .. } | FrameworkCommand::Demand { .. }
    )
}

/// Whether an earlier command means nothing any more once this was said.
pub(super) fn supersedes(wish: &FrameworkCommand, before: &FrameworkCommand) -> bool {
    is_wish(before) && (role_of(wish).is_none() || role_of(wish) == role_of(before))
}

fn role_of(wish: &FrameworkCommand) -> Option<&String> {
    match wish {
        FrameworkCommand::Suppress { role }
        | FrameworkCommand::Revive { role }
        | FrameworkCommand::Demand { role, .. } => role.as_ref(),
        _ => None,
    }
}
