//! `haggle roles`.

use haggle_sdk::RoleInfo;

use super::Verdict;
use crate::args::ListArgs;
use crate::output::record::RoleRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: ListArgs) -> Verdict {
    let mut roles = super::connect(target).await?.roles().await?;
    roles.sort_by(|one, other| one.name.cmp(&other.name));
    let records: Vec<RoleRecord> = roles.iter().map(Into::into).collect();
    output::list(&records, args.json, || table(&roles))?;
    Ok(0)
}

fn table(roles: &[RoleInfo]) -> Table {
    let mut table = Table::new(["ROLE", ">WEIGHT", ">FRAMEWORKS", ">CPUS", ">MEM", ">SHARE"]);
    for role in roles {
        table.row([
            role.name.clone(),
            role.weight.to_string(),
            role.frameworks.to_string(),
            role.allocated.cpus.as_cores().to_string(),
            role.allocated.mem.to_string(),
            format!("{:.1} %", role.share * 100.0),
        ]);
    }
    table
}
