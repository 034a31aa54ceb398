//! `haggle kill`.

use haggle_sdk::CallError;

use super::Verdict;
use crate::args::KillArgs;
use crate::error::CommandError;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: KillArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.kill(args.task).await.map_err(|error| match error {
        CallError::NotFound(_) => CommandError::NoSuchTask(args.task),
        error => error.into(),
    })?;
    if args.list.json {
        output::json(&serde_json::json!({ "id": args.task.to_string(), "killing": true }))?;
    } else {
        output::line(&format!("{} is being killed", args.task))?;
    }
    Ok(0)
}
