//! `haggle logs`.

use haggle_sdk::OutputStream;

use super::Verdict;
use crate::args::LogsArgs;
use crate::error::CommandError;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: LogsArgs) -> Verdict {
    let client = super::connect(target).await?;
    let stream = if args.stderr { OutputStream::Stderr } else { OutputStream::Stdout };
    let mut log = client.log(args.task, stream, args.follow);
    let mut missed = 0;
    while let Some(piece) = log.next().await {
        let piece = piece.map_err(super::unknown_as(CommandError::NoSuchTask(args.task)))?;
        if log.missed() > missed {
            eprintln!("haggle: {} bytes are left out here: the agent no longer keeps them", log.missed() - missed);
            missed = log.missed();
        }
        if args.list.json {
            let (id, stream) = (args.task.to_string(), if args.stderr { "stderr" } else { "stdout" });
            let text = String::from_utf8_lossy(&piece);
            output::json(&serde_json::json!({ "id": id, "stream": stream, "text": text }))?;
        } else {
            output::bytes(&piece)?;
        }
    }
    Ok(0)
}
