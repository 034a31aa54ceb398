//! What plays a person in front of the pages: Chromium from Debian, and what drives it and judges from npm.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self as std_process, Command};

use anyhow::{Context, bail};

use crate::process::{self, timed};
use crate::toolchain;

/// What drives the browser, and what judges whether everybody can use a page. Pinned, for another judge finds other faults.
const PACKAGES: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];

/// Where that is, fetched when it is not there. `None` where there can be none: the test is left out, and says so.
pub(crate) fn ensure() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let found = chromium().and_then(|()| packages());
    found.inspect_err(|error| eprintln!("no browser, and the test of the pages in one is left out: {error:#}")).ok()
}

fn chromium() -> anyhow::Result<()> {
    if process::output(Command::new("chromium").arg("--version")).is_ok() {
        return Ok(());
    }
    if !process::exists("apt-get") {
        bail!("install chromium by hand");
    }
    timed("install Chromium", || {
        let apt = |args: &[&str]| {
            let mut apt = Command::new("apt-get");
            process::output(apt.args(["-qq", "-y"]).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update"])?;
        apt(&["install", "--no-install-recommends", "chromium", "fonts-dejavu-core"]).map(drop)
    })
}

fn packages() -> anyhow::Result<PathBuf> {
    if process::output(Command::new("node").arg("--version")).is_err() {
        bail!("install Node.js 18 or later by hand");
    }
    let home = toolchain::cache()?.join("browser");
    let folder = home.join(PACKAGES.join("-"));
    if folder.exists() {
        return Ok(folder);
    }
    let draft = home.join(format!("draft-{}", std_process::id()));
    fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&draft)
        .args(PACKAGES);
    timed("fetch what drives the browser", || process::output(&mut npm).map(drop))?;
    match fs::rename(&draft, &folder) {
        // Somebody else was quicker.
        Err(_) if folder.exists() => fs::remove_dir_all(&draft)?,
        renamed => renamed.with_context(|| format!("cannot make {}", folder.display()))?,
    }
    Ok(folder)
}

/// Where the test looks for it.
pub(crate) const PLACE: &str = "HAGGLE_TEST_BROWSER";

/// Has a command's tests find it.
pub(crate) fn given(command: &mut Command, browser: Option<PathBuf>) {
    if env::var_os(PLACE).is_none()
        && let Some(browser) = browser
    {
        command.env(PLACE, browser);
    }
}
