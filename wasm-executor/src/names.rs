//! Names that a file cannot have everywhere: those that Windows understands in ways of its own.
//! <https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions>
//!
//! A guest's paths are those of POSIX: parts with a slash between them, in which every other character is itself. Where the
//! host is Windows, a name that would lead elsewhere (a device, a stream of another file, a drive) or come out as
//! another one is refused, before the system sees it.

/// Devices that are in every folder, whatever follows behind a dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The same with a number behind.
const NUMBERED: [&str; 2] = ["com", "lpt"];

/// Whether this machine's files can have this path, and no other file is meant by it.
pub(crate) fn is_plain(path: &str) -> bool {
    !cfg!(windows) || path.split('/').all(is_plain_on_windows)
}

/// What two paths have in common that mean the same file of this machine.
pub(crate) fn folded(path: &str) -> String {
    if cfg!(windows) { path.to_lowercase() } else { path.to_owned() }
}

/// Of one part of a path.
fn is_plain_on_windows(name: &str) -> bool {
    if matches!(name, "" | "." | "..") {
        return true;
    }
    let odd = |it: char| it < ' ' || matches!(it, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\');
    !name.contains(odd) && !name.ends_with(['.', ' ']) && !is_device(name)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let is_number = |rest: &str| {
        let mut chars = rest.chars();
        matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED.iter().any(|prefix| stem.strip_prefix(prefix).is_some_and(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_on_windows_is_no_plain_name_there() {
        let odd = [
            "NUL",
            "nul.txt",
            "CON",
            "con.tar.gz",
            "Aux",
            "COM1",
            "com0.log",
            "LPT9",
            "LPT¹",
            "CONIN$",
            "NUL .txt",
            "a:b",
            "C:",
            "a\\b",
            "trailing.",
            "trailing ",
            "...",
            "what?",
            "a*",
            "a|b",
            "\u{1}",
            "\"a\"",
            "<a>",
        ];
        for name in odd {
            assert!(!is_plain_on_windows(name), "{name:?}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_one() {
        for name in
            ["", ".", "..", "null", "console", "com", "com10", "lpt", "compact", "aux-1", ".nul", "a.b", "größe", "a b"]
        {
            assert!(is_plain_on_windows(name), "{name:?}");
        }
    }

    #[test]
    #[cfg(windows)]
    fn a_path_is_as_plain_as_each_of_its_parts() {
        assert!(is_plain("/data/../in/words.txt") && !is_plain("data/NUL/words.txt") && !is_plain("in/a:b"));
        assert_eq!(folded("/Data/A"), folded("/data/a"));
    }

    #[test]
    #[cfg(not(windows))]
    fn every_name_is_plain_elsewhere() {
        assert!(is_plain("/data/NUL") && is_plain("a:b") && folded("/A") != folded("/a"));
    }
}
