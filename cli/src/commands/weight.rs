//! `haggle weight`.

use super::Verdict;
use crate::args::WeightArgs;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: WeightArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.set_weight(&args.role, args.weight).await?;
    let words = match args.weight {
        Some(weight) => format!("{} has the weight {weight}", args.role),
        None => format!("{} has the weight of the master's configuration", args.role),
    };
    let record = serde_json::json!({ "name": args.role, "weight": args.weight });
    output::said(args.list.json, &record, &words)?;
    Ok(0)
}
