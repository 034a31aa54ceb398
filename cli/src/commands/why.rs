//! `haggle why`.

mod job;

use futures_util::{StreamExt, TryStreamExt, stream};
use haggle_core::cluster::TaskView;
use haggle_core::{FrameworkId, TaskId, TaskState};
use haggle_sdk::{Client, Why};

use super::Verdict;
use crate::args::WhyArgs;
use crate::args::values::Whom;
use crate::error::CommandError;
use crate::output::record::{JobWhyRecord, TaskRecord, TaskWhyRecord, WhyRecord};
use crate::output::{self, printable};
use crate::target::Target;
use crate::why;

use job::Job;

/// Frameworks that are asked for at the same time: hides the time of each round trip.
const ASKED: usize = 8;

pub(super) async fn run(target: &Target, args: WhyArgs) -> Verdict {
    let client = super::connect(target).await?;
    let json = args.list.json;
    match args.whom {
        Whom::Task(task) => of_task(&client, task, json).await,
        Whom::Framework(framework) => {
            let mut rest = Vec::new();
            let why = client.why(framework, None).await?.ok_or(CommandError::NoSuchFramework(framework))?;
            for role in why.roles.iter().filter(|role| **role != why.role) {
                rest.extend(client.why(framework, Some(role)).await?);
            }
            for why in [why].iter().chain(&rest) {
                tell(why, json)?;
            }
            Ok(0)
        }
        Whom::Name(name) => of_name(&client, name, json).await,
    }
}

async fn of_task(client: &Client, id: TaskId, json: bool) -> Verdict {
    let task = client.task(id).await?;
    let runs = |task: &TaskView| task.status.state == TaskState::Running || task.status.state.is_terminal();
    let group = match task.as_ref().and_then(|task| task.group) {
        Some(group) => {
            let group = group.id(id.framework);
            Job::of(&client.tasks_of_group(group).await?).pop().map(|job| (group.to_string(), job))
        }
        None => None,
    };
    // What runs or has ended waits for nothing, unless it is for others of its group.
    let waits = group.as_ref().is_some_and(|(_, job)| !job.waiting.is_empty());
    let role = task.as_ref().map(|task| task.role.as_str());
    let why = match task.as_ref().is_some_and(runs) && !waits {
        true => None,
        false => client.why(id.framework, role).await?,
    };
    if task.is_none() && why.is_none() {
        return Err(CommandError::NoSuchTask(id));
    }
    if json {
        let (id, task) = (id.to_string(), task.as_ref().map(TaskRecord::from));
        let group = group.map(|(id, job)| job.record(id));
        output::json(&TaskWhyRecord { id, task, group, why: why.as_ref().map(Into::into) })?;
        return Ok(0);
    }
    output::line(&printable(&standing(id, task.as_ref())))?;
    if let Some((group, job)) = group {
        output::line(&printable(&format!("its group {group} has {}", job.in_words())))?;
    }
    match why {
        Some(why) => tell(&why, json),
        None => Ok(0),
    }
}

/// Where a task stands, as far as the master knows.
fn standing(id: TaskId, task: Option<&TaskView>) -> String {
    let Some(task) = task else {
        return format!("{id} was not launched yet, or ended long ago: the master does not know it");
    };
    let status = &task.status;
    let reason = status.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let message = if status.message.is_empty() { String::new() } else { format!(": {}", status.message) };
    format!("{id} ({:?}) is {}{reason} on {}{message}", task.name, status.state, task.agent)
}

/// What a name means: a role with all below it, frameworks, and the tasks of a job.
async fn of_name(client: &Client, name: String, json: bool) -> Verdict {
    let (roles, frameworks, tasks) =
        tokio::try_join!(client.roles(), client.frameworks(), client.tasks_named(&name, true))?;
    let is_in_it = |role: &str| role.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_role = roles.iter().any(|role| is_in_it(&role.name));
    let is_called = |called: &str| {
        called == name || called.strip_prefix(super::FRAMEWORK_OF_RUN).is_some_and(|label| label == name)
    };
    let called: Vec<_> = frameworks.iter().filter(|framework| is_called(&framework.info.name)).collect();
    let mut jobs = Job::of(&tasks);
    if !is_role && called.is_empty() && jobs.is_empty() {
        return Err(CommandError::NobodyCalled(name));
    }
    // What is over is told where nothing else is.
    if is_role || !called.is_empty() || jobs.iter().any(|job| !job.has_ended()) {
        jobs.retain(|job| !job.has_ended());
    }
    let is_of_job = |id| jobs.iter().any(|job| job.framework == id);
    let is_meant = |id| is_of_job(id) || called.iter().any(|framework| framework.id == id);
    let asked: Vec<(FrameworkId, String)> = frameworks
        .iter()
        .flat_map(|framework| framework.info.roles.iter().map(|role| (framework.id, role.clone())))
        .filter(|(id, role)| is_in_it(role) || is_meant(*id))
        .collect();
    let ask = |(id, role): (FrameworkId, String)| async move { client.why(id, Some(&role)).await };
    let answers: Vec<Option<Why>> = stream::iter(asked).map(ask).buffered(ASKED).try_collect::<Vec<_>>().await?;
    // Of a role, whoever waits; whom the name means is told of anyhow.
    let told = answers.into_iter().flatten().filter(|why| why.waits_for.is_some() || is_meant(why.framework));
    let (of_jobs, others): (Vec<Why>, Vec<Why>) = told.partition(|why| is_of_job(why.framework));
    for job in &jobs {
        let of_it = || of_jobs.iter().filter(|why| why.framework == job.framework);
        if json {
            output::json(&JobWhyRecord { job: job.record(name.clone()), why: of_it().map(Into::into).collect() })?;
            continue;
        }
        output::line(&printable(&format!("{name:?} is {}", job.in_words())))?;
        for why in of_it() {
            tell(why, json)?;
        }
    }
    for why in &others {
        tell(why, json)?;
    }
    if jobs.is_empty() && others.is_empty() && !json {
        output::line(&printable(&format!("nobody in the role {name} waits for anything")))?;
    }
    Ok(0)
}

fn tell(why: &Why, json: bool) -> Verdict {
    if json {
        output::json(&WhyRecord::from(why))?;
    } else {
        for line in why::lines(why) {
            output::line(&printable(&line))?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, Reason, Resources, Source, TaskStatus, UpdateId};

    use super::*;

    #[test]
    fn where_a_task_stands_is_told_with_the_reason() {
        let id = TaskId { framework: FrameworkId(3), number: 7 };
        let status = TaskStatus {
            reason: Some(Reason::AgentDisconnected),
            message: "silent for 10 s".into(),
            ..TaskStatus::new(id, UpdateId(1), TaskState::Unreachable, Source::Master)
        };
        let (role, resources) = ("default".into(), Resources::default());
        let task = TaskView {
            id,
            name: "primes".into(),
            role,
            agent: AgentId(2),
            module: None,
            resources,
            group: None,
            is_allocation: false,
            status,
        };

        assert_eq!(
            standing(id, Some(&task)),
            "task-3.7 (\"primes\") is UNREACHABLE (AGENT_DISCONNECTED) on agent-2: silent for 10 s"
        );
        assert!(standing(id, None).starts_with("task-3.7 was not launched yet"));
    }
}
