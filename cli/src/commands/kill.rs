//! `haggle kill`.

use super::Verdict;
use crate::args::KillArgs;
use crate::error::CommandError;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: KillArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.kill(args.task).await.map_err(super::unknown_as(CommandError::NoSuchTask(args.task)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.task.to_string(), "killing": true }),
        &format!("{} is being killed", args.task),
    )?;
    Ok(0)
}
