//! Where this user's masters and agents keep what must outlast them.

use std::path::{Path, PathBuf};

use crate::cache;

/// The work folders of this user's agents, the first before the others: `$XDG_STATE_HOME/haggle/agent` or
/// `~/.local/state/haggle/agent`, then `agent-2`, `agent-3`, … beside it. `None` for a user without a home.
pub(crate) fn agents() -> Option<impl Iterator<Item = PathBuf>> {
    folder().map(|state| numbered(&state))
}

/// Where all of it is; `None` for a user without a home.
pub(crate) fn folder() -> Option<PathBuf> {
    cache::user_folder("XDG_STATE_HOME", ".local/state")
}

/// The state folder of this user's master: `$XDG_STATE_HOME/haggle/master` or `~/.local/state/haggle/master`. `None` for a
/// user without a home.
pub(crate) fn master() -> Option<PathBuf> {
    folder().map(|state| state.join("master"))
}

fn numbered(state: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let first = state.join("agent");
    let others = state.to_owned();
    std::iter::once(first).chain((2_u64..).map(move |number| others.join(format!("agent-{number}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_agent_has_no_number() {
        let folders: Vec<_> = numbered(Path::new("/s/haggle")).take(3).collect();

        assert_eq!(folders, ["/s/haggle/agent", "/s/haggle/agent-2", "/s/haggle/agent-3"].map(PathBuf::from));
    }
}
