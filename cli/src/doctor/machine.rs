//! What daemons and builds need of the machine: open files, disks, a compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use haggle_core::Bytes;

use super::report::Finding;
use crate::toolchain::{CARGO_VARIABLE, TARGET, WasmCargo};
use crate::{cache, state};

const OPEN_FILES: &str = "open files";

/// A master of this many peers, or an agent of this many tasks with files, is a small one.
const OPEN_FILES_GOOD: u64 = 4096;

/// Below this an agent with a dozen of tasks is at its end.
const OPEN_FILES_LEAST: u64 = 256;

/// How many files a program may have open.
pub(super) fn open_files() -> Finding {
    judged_files(haggle_executor::process::open_files_max())
}

fn judged_files(most: Option<u64>) -> Finding {
    const RAISE: &str = "raise the hard limit: `ulimit -Hn 65536` as root, LimitNOFILE= of a service, or limits.conf";
    let Some(most) = most else { return Finding::ok(OPEN_FILES, "as many as there is memory for") };
    let found = format!("a program may have {most}; each peer of a master takes one, and so does each file of a task");
    match most {
        0..OPEN_FILES_LEAST => Finding::fail(OPEN_FILES, found, RAISE),
        OPEN_FILES_LEAST..OPEN_FILES_GOOD => Finding::warn(OPEN_FILES, found, RAISE),
        OPEN_FILES_GOOD.. => Finding::ok(OPEN_FILES, found),
    }
}

/// Below this, a few modules and their compiled forms fill the disk.
const DISK_GOOD: Bytes = Bytes::from_mib(2048);

/// Below this a master soon takes nothing new.
const DISK_LEAST: Bytes = Bytes::from_mib(128);

/// Room where state and caches are.
pub(super) fn disks() -> Vec<Finding> {
    let folders =
        [("disk of state", state::folder(), "XDG_STATE_HOME"), ("disk of caches", cache::folder(), "XDG_CACHE_HOME")];
    folders.into_iter().map(|(check, folder, variable)| disk(check, folder, variable)).collect()
}

fn disk(check: &str, folder: Option<PathBuf>, variable: &str) -> Finding {
    let elsewhere = format!("make room, or name a folder elsewhere in {variable}");
    let Some(folder) = folder else {
        return Finding::fail(check, "this user has no home", format!("set HOME or {variable} to an absolute path"));
    };
    let Some(there) = folder.ancestors().find(|above| above.exists()) else {
        return Finding::fail(check, format!("nothing of {} is there", folder.display()), elsewhere);
    };
    if !there.is_dir() {
        return Finding::fail(check, format!("{} is not a folder", there.display()), elsewhere);
    }
    match haggle_agent::free_disk(there) {
        Ok(free) => judged_room(check, &folder, free, elsewhere),
        Err(why) => {
            Finding::warn(check, format!("it is not known how much is free for {}: {why}", folder.display()), elsewhere)
        }
    }
}

fn judged_room(check: &str, folder: &Path, free: Bytes, elsewhere: String) -> Finding {
    let found = format!("{free} free for {}", folder.display());
    if free < DISK_LEAST {
        Finding::fail(check, found, elsewhere)
    } else if free < DISK_GOOD {
        Finding::warn(check, found, elsewhere)
    } else {
        Finding::ok(check, found)
    }
}

const COMPILER: &str = "wasm target";

/// Whether `haggle build`, and `haggle run` of a package, can compile.
pub(super) fn compiler() -> Finding {
    let found = match WasmCargo::find(Path::new(".")) {
        Some(WasmCargo::Named(named)) => {
            let named = named.to_string_lossy().into_owned();
            if says_its_version(&named) {
                format!("the cargo that {CARGO_VARIABLE} names ({named}) compiles for {TARGET}")
            } else {
                let found = format!("{CARGO_VARIABLE} names {named}, which cannot be run");
                return Finding::fail(
                    COMPILER,
                    found,
                    format!("name a cargo that has {TARGET}, or unset {CARGO_VARIABLE}"),
                );
            }
        }
        Some(WasmCargo::OnPath) => format!("the cargo on the path compiles for {TARGET}"),
        Some(WasmCargo::Own(own)) => format!("{} compiles for {TARGET}", own.display()),
        None if says_its_version("rustup") => {
            let found = format!("{TARGET} is not installed; modules that are compiled run all the same");
            return Finding::warn(COMPILER, found, format!("`rustup target add {TARGET}`"));
        }
        None => {
            let found = "there is no Rust that compiles tasks; modules that are compiled run all the same";
            let advice =
                format!("install rustup, then `rustup target add {TARGET}`; or name a cargo in {CARGO_VARIABLE}");
            return Finding::warn(COMPILER, found, advice);
        }
    };
    Finding::ok(COMPILER, found)
}

fn says_its_version(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn few_open_files_are_told_and_hardly_any_fail() {
        let verdict = |most| judged_files(most).verdict;

        assert_eq!(
            [verdict(Some(64)), verdict(Some(1024)), verdict(Some(1 << 20))],
            [Verdict::Fail, Verdict::Warn, Verdict::Ok]
        );
        assert_eq!(verdict(None), Verdict::Ok);
    }

    #[test]
    fn little_room_is_told_and_none_fails() {
        let verdict = |mib| judged_room("disk", Path::new("/s"), Bytes::from_mib(mib), String::new()).verdict;

        assert_eq!([verdict(5), verdict(500), verdict(5000)], [Verdict::Fail, Verdict::Warn, Verdict::Ok]);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_as_its_next_above_and_a_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();

        let coming = disk("disk", Some(dir.path().join("a/b")), "V");
        let blocked = disk("disk", Some(file.join("a")), "V");

        assert!(coming.found.contains(" free for "), "{coming}");
        assert_eq!(blocked.verdict, Verdict::Fail);
        assert!(blocked.found.ends_with("is not a folder") && !dir.path().join("a").exists(), "{blocked}");
    }
}
