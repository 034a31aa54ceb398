//! `haggle watch`.

use futures_util::StreamExt;
use haggle_core::TaskStatus;
use haggle_core::cluster::Announcement;

use haggle_sdk::Withheld;

use super::Verdict;
use crate::args::WatchArgs;
use crate::output;
use crate::output::record::EventRecord;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: WatchArgs) -> Verdict {
    let client = super::connect(target).await?;
    let mut events = client.watch().await?;
    while let Some(event) = events.next().await {
        let event = event?;
        let time = humantime::format_rfc3339_millis(event.at).to_string();
        if args.list.json {
            output::json(&EventRecord::new(time, &event.what))?;
        } else {
            output::line(&format!("{time}  {}", output::printable(&sentence(&event.what))))?;
        }
    }
    Ok(0)
}

/// What happened, in words.
pub(crate) fn sentence(announcement: &Announcement) -> String {
    match announcement {
        Announcement::AgentUp(id) => format!("{id} is up"),
        Announcement::AgentDown(id) => format!("{id} is disconnected"),
        Announcement::AgentRemoved(id) => format!("{id} is gone"),
        Announcement::AgentWithdrawn(id, Withheld::Deactivated) => format!("{id} is DEACTIVATED"),
        Announcement::AgentWithdrawn(id, Withheld::Draining) => format!("{id} is DRAINING"),
        Announcement::AgentWithdrawn(id, Withheld::Drained) => format!("{id} is DRAINED"),
        Announcement::AgentWithdrawn(id, Withheld::Leaving) => format!("{id} leaves"),
        Announcement::AgentReactivated(id) => format!("{id} takes tasks again"),
        Announcement::FrameworkUp(id) => format!("{id} is up"),
        Announcement::FrameworkUpdated(id) => format!("{id} has other properties"),
        Announcement::FrameworkDown(id) => format!("{id} is disconnected"),
        Announcement::FrameworkRemoved(id) => format!("{id} is gone"),
        Announcement::Task(status) => task_sentence(status),
        Announcement::LeftOut(tasks) => {
            format!("{tasks} changes of tasks in queues were left out: they came faster than they were read")
        }
    }
}

fn task_sentence(status: &TaskStatus) -> String {
    let mut sentence = format!("{} {}", status.task, status.state);
    if let Some(agent) = status.agent {
        sentence += &format!(" on {agent}");
    }
    if let Some(reason) = status.reason {
        sentence += &format!(" {reason}");
    }
    if !status.message.is_empty() {
        sentence += &format!(": {}", status.message);
    }
    sentence
}
