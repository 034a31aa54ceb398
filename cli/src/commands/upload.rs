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
        output::said(
            args.list.json,
            &serde_json::json!({ "digest": digest.to_string(), "file": file }),
            &format!("{digest}  {file}"),
        )?;
    }
    Ok(0)
}
