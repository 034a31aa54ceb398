//! `haggle limits`.

use haggle_core::Bytes;
use haggle_sdk::LimitUse;

use super::Verdict;
use crate::args::LimitsArgs;
use crate::output::record::LimitRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: LimitsArgs) -> Verdict {
    let mut uses = super::connect(target).await?.limits().await?;
    uses.retain(|one| args.all || one.has > 0 || one.refused > 0);
    let records: Vec<LimitRecord> = uses.iter().map(Into::into).collect();
    output::list(&records, args.list.json, || table(&uses))?;
    Ok(0)
}

fn table(uses: &[LimitUse]) -> Table {
    let mut table = Table::new(["PRINCIPAL", "LIMIT", ">HAS", ">MOST", ">REFUSED", "OF WHAT"]);
    for one in uses {
        let amount = |number: u64| if one.in_bytes { Bytes::new(number).to_string() } else { number.to_string() };
        let who = one.principal.as_ref();
        table.row([
            who.map_or_else(|| "everybody".to_owned(), |who| format!("{} ({})", who.name, who.kind)),
            one.limit.clone(),
            amount(one.has),
            one.most.map_or_else(|| "none".to_owned(), amount),
            one.refused.to_string(),
            one.what.clone(),
        ]);
    }
    table
}
