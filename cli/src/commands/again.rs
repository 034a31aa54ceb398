//! `haggle again`.

use haggle_sdk::RunAgain;

use super::Verdict;
use crate::args::AgainArgs;
use crate::error::CommandError;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: AgainArgs) -> Verdict {
    let client = super::connect(target).await?;
    let RunAgain { framework, task } =
        client.run_again(args.task).await.map_err(super::unknown_as(CommandError::NoSuchTask(args.task)))?;
    let task = task.map(|task| task.to_string());
    if args.list.json {
        output::json(
            &serde_json::json!({ "again": args.task.to_string(), "framework": framework.to_string(), "task": task }),
        )?;
        return Ok(0);
    }
    match task {
        // Alone on its line, so that a script can go on with it.
        Some(task) => output::line(&task)?,
        None => eprintln!("haggle: {framework} waits for room to run it: `haggle why {framework}` says for what"),
    }
    Ok(0)
}
