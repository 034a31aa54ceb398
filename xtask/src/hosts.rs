//! `cargo xtask hosts`: clusters across network namespaces, and their figures.

use crate::process::{step, timed};
use crate::workspace::Workspace;
use crate::{tasks, test, tools};

/// Runs its rows one after the other, and shows what they print.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    tools::ensure_programs(workspace);
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    step("build", workspace.cargo().args(["build", "--quiet", "--locked"]).args(test::EVERYTHING))?;
    let args =
        ["test", "--quiet", "--locked", "--workspace", "--test", "hosts", "--", "--nocapture", "--test-threads=1"];
    step("hosts", &mut test::given(workspace, &args))
}
