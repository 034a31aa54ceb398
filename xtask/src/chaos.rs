//! `cargo xtask chaos`: faults in real processes for as long as their figures need, and the figures.

use anyhow::bail;

use crate::process::step;
use crate::workspace::Workspace;
use crate::{bench, test, tools};

/// As `tests/chaos/form.rs` names them.
const ROWS: [&str; 9] = ["leader", "agent", "pause", "cut", "framework", "etcd", "storm", "tenant", "soak"];

/// Runs these rows, or all; they share the `minutes` as the whole of them would share its own.
pub(crate) fn run(workspace: &Workspace, rows: &[String], minutes: Option<u32>) -> anyhow::Result<()> {
    if let Some(unknown) = rows.iter().find(|row| !ROWS.contains(&row.as_str())) {
        bail!("there is no row {unknown}; there are {}", ROWS.join(", "));
    }
    tools::ensure_etcd(workspace)?;
    bench::build(workspace)?;
    let mut args = vec!["test", "--release", "--locked", "--quiet"];
    args.extend(bench::PACKAGES);
    args.extend(["--test", "chaos", "--", "--nocapture", "--test-threads=1"]);
    let chosen: Vec<String> = rows.iter().map(|row| format!("::{row}")).collect();
    let mut cargo = test::given(workspace, &args);
    if chosen.is_empty() {
        cargo.arg("faults::");
    }
    cargo
        .args(chosen)
        .env("HAGGLE_TEST_BIN", workspace.release())
        .env("HAGGLE_CHAOS_ROWS", rows.join(","))
        .env("HAGGLE_CHAOS_MINUTES", minutes.map_or_else(String::new, |minutes| minutes.to_string()));
    step("faults", &mut cargo)
}
