//! `haggle whoami`.

use super::Verdict;
use crate::args::ListArgs;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: ListArgs) -> Verdict {
    let client = super::connect(target).await?;
    let principal = client.whoami().await?;
    let cluster = client.master().await?.cluster;
    let by = target.origin.to_string();
    if args.json {
        output::json(&serde_json::json!({
            "name": principal.name,
            "kind": principal.kind.to_string(),
            "roles": principal.roles,
            "cluster": cluster.to_string(),
            "master": client.url(),
            "by": by,
        }))?;
        return Ok(0);
    }
    let roles = match principal.roles.as_slice() {
        [] => String::new(),
        roles => format!(" in {}", roles.join(", ")),
    };
    let who = format!("{} ({}{roles})", principal.name, principal.kind);
    output::line(&format!("{}\n{cluster} at {}\nby {by}", output::printable(&who), client.url()))?;
    Ok(0)
}
