//! `haggle upload`.

use super::Verdict;
use crate::args::UploadArgs;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: UploadArgs) -> Verdict {
    let client = super::connect(target).await?;
    for file in args.files {
        let digest = client.upload(&file).await?;
        let file = file.display().to_string();
        if args.list.json {
            output::json(&serde_json::json!({ "digest": digest.to_string(), "file": file }))?;
        } else {
            output::line(&format!("{digest}  {}", output::printable(&file)))?;
        }
    }
    Ok(0)
}
