//! `haggle frameworks`.

use haggle_core::FrameworkId;
use haggle_core::cluster::FrameworkView;

use super::Verdict;
use crate::args::ListArgs;
use crate::output::record::FrameworkRecord;
use crate::output::{self, Lines, OutputError, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: ListArgs) -> Verdict {
    let client = super::connect(target).await?;
    if args.json {
        output::lines(client.frameworks_as(lines).await?)?;
    } else {
        let mut frameworks = client.frameworks().await?;
        frameworks.sort_by_key(|framework| framework.id);
        output::line(&table(&frameworks).to_string())?;
    }
    Ok(0)
}

fn lines(frameworks: &[FrameworkView]) -> Result<Lines<FrameworkId>, OutputError> {
    Lines::of(frameworks.iter().map(|framework| (framework.id, FrameworkRecord::from(framework))))
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
