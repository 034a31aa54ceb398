//! `cargo xtask hostile`: all hostile guests at once beside honest neighbours, for as long as one likes.

use crate::process::{step, timed};
use crate::workspace::Workspace;
use crate::{tasks, test};

/// Runs the one test for so long, and shows its figures.
pub(crate) fn run(workspace: &Workspace, seconds: u32) -> anyhow::Result<()> {
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    step("build", workspace.cargo().args(["build", "--quiet", "--locked"]).args(test::EVERYTHING))?;
    let args = ["test", "--quiet", "--locked", "--workspace", "--test", "hostile", "together::", "--", "--nocapture"];
    step(
        &format!("all hostile guests at once for {seconds} s"),
        test::given(workspace, &args).env("HAGGLE_HOSTILE_SECONDS", seconds.to_string()),
    )
}
