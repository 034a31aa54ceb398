//! Programs of others that checks need: the one on the path, or one of our own under the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::languages;
use crate::process::{self, step, timed};
use crate::toolchain::debian;
use crate::workspace::{Workspace, program};

/// A cargo command that comes as a package of its own.
pub(crate) struct Tool {
    package: &'static str,
    /// The version that our configuration and command lines are written for.
    version: &'static str,
}

/// Checks what we depend on.
pub(crate) const DENY: Tool = Tool { package: "cargo-deny", version: "0.20.2" };
/// Builds and runs fuzz targets.
pub(crate) const FUZZ: Tool = Tool { package: "cargo-fuzz", version: "0.13.2" };

/// The etcd that tests of several masters start: Debian's, where the system has none.
pub(crate) fn ensure_etcd(workspace: &Workspace) -> anyhow::Result<()> {
    let there = |etcd: &Path, ctl: &Path| {
        process::exists(&etcd.to_string_lossy()) && process::output(Command::new(ctl).arg("version")).is_ok()
    };
    let ours = etcd_programs(workspace);
    if there(Path::new("etcd"), Path::new("etcdctl")) || there(&ours.join("etcd"), &ours.join("etcdctl")) {
        return Ok(());
    }
    timed("fetch etcd from Debian's packages", || {
        debian::unpack(&etcd_root(workspace), &["etcd-server", "etcd-client"], &[])
            .context("no etcd: install etcd and etcdctl, 3.4 or later, by hand")
    })
}

/// Where the etcd of [`ensure_etcd`] is, when the system has none.
pub(crate) fn etcd_programs(workspace: &Workspace) -> PathBuf {
    etcd_root(workspace).join("usr").join("bin")
}

fn etcd_root(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools").join("etcd")
}

/// The qemu that runs programs of arm64: 8 or later, which keeps a list of what a program maps and not a table of pages. A
/// pool of instances maps terabytes.
///
/// # Errors
/// When neither this machine nor Debian has one.
pub(crate) fn ensure_qemu(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    const MAJOR: u32 = 8;
    let root = workspace.target.join("tools").join("qemu");
    let ours = root.join("usr").join("bin").join("qemu-aarch64");
    let is_new = |qemu: &Path| {
        let said = process::output(Command::new(qemu).arg("--version")).unwrap_or_default();
        let version = said.split_once("version ").and_then(|(_, version)| version.split('.').next()?.parse().ok());
        version.is_some_and(|version: u32| version >= MAJOR)
    };
    for qemu in [PathBuf::from("qemu-aarch64"), PathBuf::from("qemu-aarch64-static"), ours.clone()] {
        if is_new(&qemu) {
            return Ok(qemu);
        }
    }
    timed("fetch qemu from Debian's packages", || {
        debian::unpack_at_least(&root, "qemu-user", MAJOR)
            .with_context(|| format!("no qemu: install qemu-aarch64 (qemu's user mode), {MAJOR} or later, by hand"))
    })?;
    Ok(ours)
}

/// Programs of one of Debian's packages.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
    /// Asks one of them for its version.
    version: &'static str,
    /// How the names of the libraries behind it begin that a plain Debian may lack.
    libraries: &'static [&'static str],
}

/// What makes networks of hosts, what plays a terminal, what reads metrics, and what keeps artifacts.
const PACKAGES: [Package; 5] = [
    Package {
        name: "iproute2",
        programs: &["ip"],
        version: "-V",
        libraries: &["libbpf", "libbsd", "libcap2", "libdb", "libelf", "libmnl", "libmd", "libtirpc", "libxtables"],
    },
    Package {
        name: "nftables",
        programs: &["nft"],
        version: "-V",
        libraries: &["libedit", "libbsd", "libgmp", "libjansson", "libmd", "libmnl", "libnft", "libxtables"],
    },
    Package {
        name: "tmux",
        programs: &["tmux"],
        version: "-V",
        libraries: &["libevent", "libjemalloc", "libsystemd", "libutempter"],
    },
    Package { name: "prometheus", programs: &["prometheus", "promtool"], version: "--version", libraries: &[] },
    Package { name: "docker-registry", programs: &["docker-registry"], version: "--version", libraries: &[] },
];

/// Starts a program of a folder with the libraries beside it. It finds the folder from its own place.
const WITH_LIBRARIES: &str = r#"#!/bin/sh
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
for libraries in "$root"/usr/lib/*-linux-gnu "$root"/lib/*-linux-gnu; do
    LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
for program in "$root"/usr/sbin/NAME "$root"/sbin/NAME "$root"/usr/bin/NAME "$root"/bin/NAME; do
    if [ -x "$program" ]; then exec "$program" "$@"; fi
done
echo "no NAME below $root" >&2
exit 127
"#;

/// Those programs: Debian's, where the system has none. Without them the tests that need them are left out, and say so; only
/// Linux has them.
pub(crate) fn ensure_programs(workspace: &Workspace) {
    if !cfg!(target_os = "linux") {
        return;
    }
    for package in &PACKAGES {
        let root = package.root(workspace);
        let ours = root.join("programs");
        let there = |program: PathBuf| process::output(Command::new(program).arg(package.version)).is_ok();
        if package.programs.iter().all(|program| there(PathBuf::from(program)) || there(ours.join(program))) {
            continue;
        }
        let Package { name, programs, libraries, .. } = package;
        let fetched = timed(&format!("fetch {name} from Debian's packages"), || {
            debian::unpack(&root, &[name], libraries)?;
            programs.iter().try_for_each(|program| {
                debian::write_program(&ours.join(program), &WITH_LIBRARIES.replace("NAME", program))?;
                process::output(Command::new(ours.join(program)).arg(package.version)).map(drop)
            })
        });
        if let Err(error) = fetched {
            eprintln!("no {name}: install it by hand, or the tests that need it are left out: {error:#}");
        }
    }
}

/// The pip that fetches interpreters for the tests of scripts: Debian's, where the system has none. Without it those tests
/// are left out, and say so; in CI they fail.
pub(crate) fn ensure_pip() {
    if languages::python().is_ok() || !process::exists("apt-get") {
        return;
    }
    if let Err(error) = timed("install pip", || install(&["python3-pip"])) {
        eprintln!("no pip: install python3-pip by hand, or tests of scripts are left out: {error:#}");
    }
}

/// Shells that complete lines, beside bash: Debian's, where the system has none. Without them the test of these is left out, and
/// says so.
pub(crate) fn ensure_shells() {
    let missing: Vec<&str> = ["zsh", "fish"].into_iter().filter(|shell| !process::exists(shell)).collect();
    if missing.is_empty() || !process::exists("apt-get") {
        return;
    }
    if let Err(error) = timed("install shells", || install(&missing)) {
        eprintln!("no {}: install them by hand, or what they complete is not tested: {error:#}", missing.join(", "));
    }
}

/// Installs Debian's packages.
fn install(packages: &[&str]) -> anyhow::Result<()> {
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        process::output(apt.args(["-qq", "-y"]).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], packages].concat()).map(drop)
}

/// A small object store for tests, which speaks S3: 14 MB.
const S3: &str = "s3rver@3.7.1";

/// Fetches it, unless it is there. Without it the test that needs it is left out, and says so; in CI it fails.
pub(crate) fn ensure_s3(workspace: &Workspace) {
    let folder = s3(workspace);
    if folder.exists() {
        return;
    }
    let fetched = timed("fetch an object store for tests", || {
        // It appears when it is whole.
        let draft = folder.with_extension("draft");
        let _ = fs::remove_dir_all(&draft);
        fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
        npm_install(&draft, S3)?;
        fs::rename(&draft, &folder).with_context(|| format!("cannot make {}", folder.display()))
    });
    if let Err(error) = fetched {
        eprintln!("no object store: the test that needs one is left out: {error:#}");
    }
}

/// Where it is.
pub(crate) fn s3(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools").join("s3")
}

/// A collector of traces that others wrote, in Rust, for tests: 10 MB. Its package has a program for each version of Python, which it links
/// to.
const COLLECTOR: &str = "rotel==0.0.1a15 \\
    --hash=sha256:797faed4ec003b0b1ab65fee25a18c991cb863c221f503d383425f0958aaa5fa \\
    --hash=sha256:2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7 \\
    --hash=sha256:6b1a12b2d6d52ab10574cb111053402f2bc195fa55453b19294af57c0d35bece \\
    --hash=sha256:322a830deed963dd5dcc460007e917eec071c5977e51c3a06029348f39e4eec9
";

/// Fetches it, unless it is there. Without it the test that needs it is left out, and says so.
pub(crate) fn ensure_collector(workspace: &Workspace) {
    let folder = collector(workspace);
    if folder.exists() {
        return;
    }
    let fetched = timed("fetch a collector of traces for tests", || {
        // It appears when it is whole.
        let draft = folder.with_extension("draft");
        let _ = fs::remove_dir_all(&draft);
        fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
        let wanted = draft.join("requirements.txt");
        fs::write(&wanted, COLLECTOR).with_context(|| format!("cannot write {}", wanted.display()))?;
        let mut pip = Command::new(languages::python()?);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]);
        pip.args(["--only-binary", ":all:", "--require-hashes", "--target", ".", "-r", "requirements.txt"]);
        process::output(pip.current_dir(&draft))?;
        // Whether the library of its Python is there, too.
        process::output(Command::new(draft.join("rotel").join("rotel-agent")).arg("--version"))?;
        fs::rename(&draft, &folder).with_context(|| format!("cannot make {}", folder.display()))
    });
    if let Err(error) = fetched {
        eprintln!("no collector of traces: the test that needs one is left out: {error:#}");
    }
}

/// Where it is.
pub(crate) fn collector(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools").join("collector")
}

/// Installs a package of npm into a folder; and node and npm themselves, where this is Debian.
pub(crate) fn npm_install(folder: &Path, package: &str) -> anyhow::Result<()> {
    let there = || process::exists("node") && process::exists("npm");
    if !there() && process::exists("apt-get") {
        install(&["nodejs", "npm"])?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(folder).arg(package);
    process::output(&mut npm).map(drop)
}

/// Where the programs of [`ensure_programs`] are, when the system has none.
pub(crate) fn programs(workspace: &Workspace) -> impl Iterator<Item = PathBuf> {
    PACKAGES.iter().map(|package| package.root(workspace).join("programs"))
}

impl Package {
    fn root(&self, workspace: &Workspace) -> PathBuf {
        workspace.target.join("tools").join(self.name)
    }
}

impl Tool {
    /// Where it is; compiles it when this machine has not got this version yet.
    pub(crate) fn ensure(&self, workspace: &Workspace) -> anyhow::Result<PathBuf> {
        let Self { package, version } = self;
        let root = workspace.target.join("tools");
        let ours = root.join("bin").join(program(package));
        let there = [PathBuf::from(package), ours.clone()].into_iter().find(|tool| self.is(tool));
        if let Some(tool) = there {
            return Ok(tool);
        }
        // Not optimised: that takes a third of the time, and they are waited for less than their build is.
        let mut install = workspace.cargo();
        install.args(["install", "--quiet", "--locked", "--debug", "--force", package, "--version", version]);
        install.arg("--root").arg(root);
        step(&format!("{package} {version}"), &mut install)
            .with_context(|| format!("no {package} {version}: install it by hand"))?;
        Ok(ours)
    }

    /// Whether this program is there, in the version that is wanted.
    fn is(&self, tool: &Path) -> bool {
        process::output(Command::new(tool).arg("--version"))
            .is_ok_and(|said| said.split_whitespace().any(|word| word == self.version))
    }
}
