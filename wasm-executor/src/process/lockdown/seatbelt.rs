//! The sandbox of macOS: what is left to a process, in the words of its profiles.
//!
//! What is refused is listed, not what is allowed: the libraries of each version of the system read files, ask services
//! and look at counters of their own, and a list of those for every version would break guests, not attackers. Of rules
//! that contradict each other the last one holds.

use std::fmt::Write;
use std::path::Path;

use super::Lockdown;

/// Refused whatever is asked: other programs and processes, services that would start some, devices, shared memory.
const REFUSED: &str = "\
(version 1)
(allow default)
(deny process-exec* process-fork)
(deny signal)
(allow signal (target self))
(deny mach-lookup mach-register mach-priv-task-port)
(deny job-creation)
(deny iokit-open)
(deny ipc-sysv*)
";

/// Where files of users are, and what programs leave behind.
const PRIVATE: [&str; 6] =
    ["/Users", "/Volumes", "/Network", "/private/tmp", "/private/var/folders", "/private/var/root"];

/// Where names of hosts are looked up.
const RESOLVER: &str = "/private/var/run/mDNSResponder";

/// The profile of a process to which this is left. Its paths lead through no link.
fn profile(left: &Lockdown) -> String {
    let mut rules = REFUSED.to_owned();
    let subpaths = |paths: &mut dyn Iterator<Item = &Path>| -> String {
        paths.map(|path| format!(" (subpath {})", quoted(path))).collect()
    };
    let _ = writeln!(rules, "(deny file-write*)");
    let _ = writeln!(rules, "(allow file-write-data (literal \"/dev/null\"))");
    let _ = writeln!(rules, "(deny file-read-data{})", subpaths(&mut PRIVATE.iter().map(Path::new)));
    if !left.read.is_empty() {
        let _ = writeln!(rules, "(allow file-read-data{})", subpaths(&mut left.read.iter().map(AsRef::as_ref)));
    }
    if !left.write.is_empty() {
        let write = subpaths(&mut left.write.iter().map(AsRef::as_ref));
        let _ = writeln!(rules, "(allow file-read-data file-write*{write})");
    }
    // What was bound before goes on to be listened to, and what is connected to be spoken on.
    if left.network {
        let _ = writeln!(rules, "(deny network-outbound (remote unix-socket))");
        let _ = writeln!(rules, "(allow network-outbound (literal {}))", quoted(Path::new(RESOLVER)));
    } else {
        let _ = writeln!(rules, "(deny network-outbound network-bind)");
    }
    rules
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(target_os = "macos")]
pub(super) use here::{confine, no_resources};

#[cfg(target_os = "macos")]
mod here {
    use std::ffi::{CStr, CString, c_char, c_int};
    use std::ptr;

    use rustix::process::{Resource, Rlimit, setrlimit};

    use super::{Lockdown, profile};

    /// A core dump would show what is in a guest's memory, and take any room.
    pub(in super::super) fn no_resources() -> Result<(), String> {
        let nothing = Rlimit { current: Some(0), maximum: Some(0) };
        let limit = |resource| setrlimit(resource, nothing).map_err(|error| format!("{resource:?}: {error}"));
        [Resource::Core, Resource::Memlock].into_iter().try_for_each(limit)
    }

    pub(in super::super) fn confine(left: &Lockdown) -> Result<(), String> {
        // The system compares where paths lead: `/tmp` is a link there. What is not there is left out.
        let real = |paths: &[std::path::PathBuf]| paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let left = Lockdown { read: real(&left.read), write: real(&left.write), ..left.clone() };
        let rules = CString::new(profile(&left)).map_err(|error| error.to_string())?;
        init(&rules)
    }

    /// `man sandbox_init`. Apple calls it deprecated and has nothing else for a program that is not an app; browsers
    /// live by it.
    #[expect(unsafe_code, reason = "no crate has this call")]
    fn init(rules: &CStr) -> Result<(), String> {
        unsafe extern "C" {
            fn sandbox_init(profile: *const c_char, flags: u64, error: *mut *mut c_char) -> c_int;
            fn sandbox_free_error(error: *mut c_char);
        }
        let mut error = ptr::null_mut();
        // SAFETY: both pointers are good for the call; without flags the text is the profile itself.
        if unsafe { sandbox_init(rules.as_ptr(), 0, &raw mut error) } == 0 {
            return Ok(());
        }
        if error.is_null() {
            return Err("the system does not say why".to_owned());
        }
        // SAFETY: on failure it is a text that is ours to free, and is not used after that.
        let why = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
        // SAFETY: as above.
        unsafe { sandbox_free_error(error) };
        Err(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(network: bool) -> Lockdown {
        Lockdown {
            read: vec!["/Users/ada/a \"b\"".into()],
            write: vec![r"/Users/ada/c\d".into()],
            network,
            ..Lockdown::default()
        }
    }

    #[test]
    fn what_is_left_is_said_after_what_is_refused() {
        let profile = profile(&left(false));

        let rules = profile.strip_prefix(REFUSED).unwrap();
        assert_eq!(
            rules,
            r#"(deny file-write*)
(allow file-write-data (literal "/dev/null"))
(deny file-read-data (subpath "/Users") (subpath "/Volumes") (subpath "/Network") (subpath "/private/tmp") (subpath "/private/var/folders") (subpath "/private/var/root"))
(allow file-read-data (subpath "/Users/ada/a \"b\""))
(allow file-read-data file-write* (subpath "/Users/ada/c\\d"))
(deny network-outbound network-bind)
"#
        );
    }

    #[test]
    fn the_network_is_the_internet_and_the_resolver() {
        let profile = profile(&left(true));

        assert!(profile.ends_with(
            "(deny network-outbound (remote unix-socket))\n\
             (allow network-outbound (literal \"/private/var/run/mDNSResponder\"))\n"
        ));
        assert!(!profile.contains("(deny network-outbound network-bind)"));
    }

    #[test]
    fn a_compiler_is_left_nothing() {
        let profile = profile(&Lockdown::default());

        assert_eq!(profile.matches("(allow file-").count(), 1, "{profile}");
    }
}
