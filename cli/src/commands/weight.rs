//! `haggle weight`.

use super::Verdict;
use crate::args::WeightArgs;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: WeightArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.set_weight(&args.role, args.weight).await?;
    if args.list.json {
        output::json(&serde_json::json!({ "name": args.role, "weight": args.weight }))?;
        return Ok(0);
    }
    let text = match args.weight {
        Some(weight) => format!("{} has the weight {weight}", args.role),
        None => format!("{} has the weight of the master's configuration", args.role),
    };
    output::line(&output::printable(&text))?;
    Ok(0)
}
