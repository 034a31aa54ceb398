//! What becomes of peers, in the log of the master.

use haggle_core::allocator::Withheld;
use haggle_core::cluster::Announcement;
use tracing::info;

/// Peers come and go rarely enough to be told to operators; tasks are not.
pub(super) fn log(what: &Announcement) {
    match what {
        Announcement::AgentUp(id) => info!("{id} is connected"),
        Announcement::AgentDown(id) => info!("{id} is disconnected"),
        Announcement::AgentRemoved(id) => info!("{id} is removed"),
        Announcement::AgentWithdrawn(id, Withheld::Deactivated) => info!("{id} is deactivated"),
        Announcement::AgentWithdrawn(id, Withheld::Draining) => info!("{id} is draining"),
        Announcement::AgentWithdrawn(id, Withheld::Drained) => info!("{id} is drained"),
        // It says so itself.
        Announcement::AgentWithdrawn(_, Withheld::Leaving) => {}
        Announcement::AgentReactivated(id) => info!("{id} is reactivated"),
        Announcement::FrameworkUp(id) => info!("{id} is connected"),
        Announcement::FrameworkUpdated(id) => info!("{id} has other properties"),
        Announcement::FrameworkDown(id) => info!("{id} is disconnected"),
        Announcement::FrameworkRemoved(id) => info!("{id} is removed"),
        Announcement::Task(_) | Announcement::LeftOut(_) => {}
    }
}
