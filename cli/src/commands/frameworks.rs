//! `haggle frameworks`.

use haggle_core::cluster::FrameworkView;

use super::Verdict;
use crate::args::ListArgs;
use crate::output::record::FrameworkRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: ListArgs) -> Verdict {
    let mut frameworks = super::connect(target).await?.frameworks().await?;
    frameworks.sort_by_key(|framework| framework.id);
    let records: Vec<FrameworkRecord> = frameworks.iter().map(Into::into).collect();
    output::list(&records, args.json, || table(&frameworks))?;
    Ok(0)
}

fn table(frameworks: &[FrameworkView]) -> Table {
    let mut table = Table::new(["FRAMEWORK", "NAME", "ROLES", "STATE", ">CPUS", ">MEM", ">TASKS"]);
    for framework in frameworks {
        table.row([
            framework.id.to_string(),
            framework.info.name.clone(),
            framework.info.roles.join(", "),
            state(framework).into(),
            framework.used.cpus.as_cores().to_string(),
            framework.used.mem.to_string(),
            framework.tasks.to_string(),
        ]);
    }
    table
}

pub(crate) fn state(framework: &FrameworkView) -> &'static str {
    match (framework.connected, framework.suppressed) {
        (false, _) => "disconnected",
        (true, true) => "suppressed",
        (true, false) => "up",
    }
}
