//! Debian packages, downloaded and unpacked into a folder; nothing is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::super::sysroot;
use super::library;
use crate::process;

/// What is needed by name. The libraries behind it carry versions in their names, and are found from here.
const PACKAGES: [&str; 5] = ["rustc-web", "libstd-rust-web-dev", "cargo-web", "rust-web-src", "wasi-libc"];

/// The libraries which these packages need and a plain Debian does not have.
const LIBRARIES: [&str; 5] = ["libstd-rust-web-", "libllvm", "libgit2-", "libhttp-parser", "libmbed"];

/// The compiler's package, whose version is that of the toolchain.
const COMPILER: &str = "rustc-web";

/// Fetches and unpacks all that is needed into `root`, and gives back the version of the compiler.
pub(crate) fn unpack(root: &Path) -> anyhow::Result<String> {
    let apt = Apt::new(root)?;
    let updated = process::output(&mut apt.command("apt-get", &["update"]));
    let version = apt.candidate(COMPILER)?;
    let Some(version) = version else {
        updated.context("`apt-get update` failed")?;
        bail!("Debian's package sources have no {COMPILER}: is the security suite among them?");
    };

    let mut packages = apt.closure(&PACKAGES, &LIBRARIES)?;
    packages.extend(linker_package(&packages)?);
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    apt.fetch(root, &names)?;
    apt.clean()?;
    Ok(folder_name(&version))
}

/// Fetches some packages and unpacks them into `root`, with those of the libraries behind them whose names start so.
pub(crate) fn unpack_these(root: &Path, packages: &[&str], libraries: &[&str]) -> anyhow::Result<()> {
    let apt = Apt::new(root)?;
    process::output(&mut apt.command("apt-get", &["update"])).context("`apt-get update` failed")?;
    let packages = apt.closure(packages, libraries)?;
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    apt.fetch(root, &names)?;
    apt.clean()
}

/// Fetches a package of this major version or a later one and unpacks it into `root`: from the backports of this Debian,
/// where its own version is older.
pub(crate) fn unpack_at_least(root: &Path, package: &str, major: u32) -> anyhow::Result<()> {
    let apt = Apt::new(root)?;
    let mut newest = None;
    for backports in [false, true] {
        if backports {
            apt.use_backports()?;
        }
        process::output(&mut apt.command("apt-get", &["update"])).context("`apt-get update` failed")?;
        newest = apt.candidate(package)?;
        if newest.as_deref().and_then(major_of).is_some_and(|has| has >= major) {
            apt.fetch(root, &[package])?;
            return apt.clean();
        }
    }
    let newest = newest.unwrap_or_else(|| "none".to_owned());
    bail!("Debian's newest {package} here is {newest}, and {major} or later is needed")
}

/// Fetches what a package of this Debian was made from, and unpacks it into `root/source`.
pub(crate) fn unpack_source(root: &Path, package: &str) -> anyhow::Result<()> {
    let apt = Apt::new(root)?;
    let update = || process::output(&mut apt.command("apt-get", &["update"])).context("`apt-get update` failed");
    update()?;
    let (release, mirror) = apt.mirror()?;
    apt.use_only(&format!("deb-src {mirror} {release} main"))?;
    update()?;
    let folder = root.join("debs");
    fs::create_dir_all(&folder)?;
    let mut fetch = apt.command("apt-get", &["source", "--download-only", package]);
    process::output(fetch.current_dir(&folder)).with_context(|| format!("cannot download the source of {package}"))?;
    let source = root.join("source");
    fs::create_dir_all(&source)?;
    for file in fs::read_dir(&folder)? {
        let path = file?.path();
        if path.to_string_lossy().contains(".orig.tar.") {
            process::output(
                Command::new("tar").arg("-xf").arg(path).args(["--strip-components=1", "-C"]).arg(&source),
            )?;
        }
    }
    fs::remove_dir_all(&folder)?;
    apt.clean()
}

/// The first number of a version: 10 of `1:10.0.2+ds-2`.
fn major_of(version: &str) -> Option<u32> {
    let upstream = version.split_once(':').map_or(version, |(_, upstream)| upstream);
    upstream.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The package of a linker, when the toolchain in use has none to lend.
fn linker_package(packages: &BTreeSet<String>) -> anyhow::Result<Option<String>> {
    if library::lent_linker(&sysroot()?).is_some() {
        return Ok(None);
    }
    // Of the compiler's own LLVM: an older linker does not know what a newer compiler writes.
    let llvm =
        packages.iter().find_map(|package| package.strip_prefix("libllvm")).context("rustc-web needs no LLVM")?;
    Ok(Some(format!("lld-{llvm}")))
}

/// apt with the system's sources, and with everything it writes in a folder of ours.
struct Apt {
    folder: std::path::PathBuf,
    config: std::path::PathBuf,
}

impl Apt {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join("apt");
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        let config = folder.join("apt.conf");
        // The system's hooks are for the system's folders: some tidy up there, which is not ours to do. No sandbox
        // user, because it could not write where we may.
        let text = format!(
            "#clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             Dir::State::lists \"{lists}\";\n\
             Dir::Cache \"{cache}\";\n\
             APT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Acquire::Retries \"3\";\n\
             Acquire::http::Timeout \"30\";\n\
             Acquire::https::Timeout \"30\";\n",
            lists = folder.join("lists").display(),
            cache = folder.join("cache").display(),
        );
        fs::write(&config, text)?;
        Ok(Self { folder, config })
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        // Its words are read by us.
        command.env("LC_ALL", "C").arg("-c").arg(&self.config).args(args);
        command
    }

    /// Looks for packages among those that were made for this release later, and nowhere else.
    fn use_backports(&self) -> anyhow::Result<()> {
        let (release, mirror) = self.mirror()?;
        self.use_only(&format!("deb {mirror} {release}-backports main"))
    }

    /// The name of this Debian, and where its packages come from.
    fn mirror(&self) -> anyhow::Result<(String, String)> {
        let system = fs::read_to_string("/etc/os-release").context("cannot tell which Debian this is")?;
        let release = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let release = release.context("this Debian has no name")?.trim_matches('"');
        let sources =
            process::output(&mut self.command("apt-get", &["indextargets", "--format", "$(RELEASE) $(REPO_URI)"]))?;
        let mirror = sources.lines().find_map(|line| line.strip_prefix(release)?.strip_prefix(' '));
        let mirror = mirror.with_context(|| format!("no source of packages is one of {release}"))?;
        Ok((release.to_owned(), mirror.to_owned()))
    }

    /// Has apt know this source of packages, and no other.
    fn use_only(&self, source: &str) -> anyhow::Result<()> {
        let list = self.folder.join("only.list");
        fs::write(&list, format!("{source}\n"))?;
        let mut config = fs::read_to_string(&self.config)?;
        config.push_str(&format!("Dir::Etc::SourceList \"{}\";\nDir::Etc::SourceParts \"-\";\n", list.display()));
        fs::write(&self.config, config)?;
        Ok(())
    }

    /// The version that would be installed; `None` for a package that there is not.
    fn candidate(&self, package: &str) -> anyhow::Result<Option<String>> {
        let policy = process::output(&mut self.command("apt-cache", &["policy", package]))?;
        let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(version.filter(|&version| version != "(none)").map(ToString::to_string))
    }

    /// All packages to unpack: these, and those of the libraries behind them whose names start so.
    fn closure(&self, packages: &[&str], wanted: &[&str]) -> anyhow::Result<BTreeSet<String>> {
        let mut found: BTreeSet<String> = packages.iter().map(ToString::to_string).collect();
        let mut waiting: Vec<String> = found.iter().cloned().collect();
        while let Some(package) = waiting.pop() {
            let printed = process::output(&mut self.command("apt-cache", &["depends", "--important", &package]))?;
            for needed in libraries(&printed, wanted) {
                if found.insert(needed.to_string()) {
                    waiting.push(needed.to_string());
                }
            }
        }
        Ok(found)
    }

    /// Downloads packages and unpacks them into `root`.
    fn fetch(&self, root: &Path, packages: &[&str]) -> anyhow::Result<()> {
        let debs = root.join("debs");
        fs::create_dir_all(&debs)?;
        process::output(self.command("apt-get", &[&["download"], packages].concat()).current_dir(&debs))
            .with_context(|| format!("cannot download {}", packages.join(", ")))?;
        for deb in fs::read_dir(&debs)? {
            process::output(Command::new("dpkg-deb").arg("-x").arg(deb?.path()).arg(root))?;
        }
        fs::remove_dir_all(&debs)?;
        Ok(())
    }

    fn clean(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

/// Those of the libraries that `apt-cache depends` names.
fn libraries<'a>(printed: &'a str, wanted: &[&str]) -> impl Iterator<Item = &'a str> {
    printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| wanted.iter().any(|library| name.starts_with(library)) && !name.ends_with("-dev"))
}

/// A version as the name of a folder that may stand in a search path.
fn folder_name(version: &str) -> String {
    version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_package_are_found_whatever_their_version() {
        let printed = "rustc-web\n  Depends: libc6\n  Depends: libstd-rust-web-1.97\n |Depends: gcc\n  Depends: libllvm23\n  \
                       Depends: libstd-rust-web-dev\n  Depends: <libc-dev>\n";

        assert_eq!(libraries(printed, &LIBRARIES).collect::<Vec<_>>(), ["libstd-rust-web-1.97", "libllvm23"]);
    }

    #[test]
    fn a_version_has_a_major_number_behind_its_epoch() {
        assert_eq!(major_of("1:10.0.2+ds-2+deb13u1~bpo12+1"), Some(10));
        assert_eq!(major_of("7.2+dfsg-7"), Some(7));
        assert_eq!(major_of("unknown"), None);
    }

    #[test]
    fn a_version_makes_a_name_without_separators() {
        assert_eq!(folder_name("1:1.96.0+dfsg1-1~deb12u2"), "1-1.96.0-dfsg1-1-deb12u2");
    }
}
