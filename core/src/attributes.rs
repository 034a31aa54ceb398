//! The attributes by which an agent says what it is and what it allows: their names, which are nobody else's, and how one is
//! looked up.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

/// Stands for the agent's name among the attributes.
pub const HOSTNAME: &str = "hostname";

/// Names that begin like this are those of the agent itself: its operator's own attributes have others.
pub const RESERVED: &str = "haggle.";

/// The system: `linux`, `macos`, `windows`.
pub const OS: &str = "haggle.os";

/// The processor: `x86_64`, `aarch64`.
pub const ARCH: &str = "haggle.arch";

/// There where tasks are given the network that they are granted.
pub const NET: &str = "haggle.net";

/// Before the path of a folder that tasks may ask to read, with all that is in it: `haggle.dir:/srv/data`.
pub const DIR: &str = "haggle.dir:";

/// Before what it runs: `haggle.runtime.wasip1`, `haggle.runtime.wasip2`.
pub const RUNTIME: &str = "haggle.runtime.";

/// Whether an operator may not give an attribute this name.
pub fn is_reserved(name: &str) -> bool {
    name == HOSTNAME || name.starts_with(RESERVED)
}

/// The attribute of a folder of an agent's machine, by its absolute path. On Windows `C:\srv` and `c:/srv` are the same.
pub fn folder(path: &str) -> String {
    let is_on_a_drive = path.as_bytes().get(1) == Some(&b':');
    let path = if is_on_a_drive { path.replace('\\', "/").to_lowercase() } else { path.into() };
    format!("{DIR}{path}")
}

/// The path of the folder that an attribute is about.
pub fn folder_of(name: &str) -> Option<&str> {
    name.strip_prefix(DIR)
}

/// The value that an attribute has for an agent of this name and these attributes. A folder has that of a folder which it is in.
pub fn find<'a>(name: &str, agent_name: &'a str, attributes: &'a BTreeMap<String, String>) -> Option<&'a str> {
    if name == HOSTNAME {
        return Some(agent_name);
    }
    let found = attributes.get(name).map(String::as_str);
    let Some(path) = folder_of(name).filter(|_| found.is_none()) else { return found };
    // `/srv/data` is in `/srv`, and that in `/`, which keeps its slash.
    let root = path.find('/')?;
    let mut above = path.rmatch_indices('/').map(|(at, _)| DIR.len() + at.max(root + usize::from(at == root)));
    above.find_map(|end| attributes.get(name.get(..end)?)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(allowed: &str, asked: &str) -> bool {
        let attributes = BTreeMap::from([(folder(allowed), String::from("read"))]);
        find(&folder(asked), "a", &attributes) == Some("read")
    }

    #[test]
    fn a_folder_is_allowed_with_all_that_is_in_it() {
        for (allowed, asked) in [
            ("/srv/data", "/srv/data"),
            ("/srv/data", "/srv/data/a/b"),
            ("/", "/"),
            ("/", "/srv/data"),
            (r"C:\srv", "c:/srv/data"),
            (r"C:\", r"C:\srv\data"),
        ] {
            assert!(finds(allowed, asked), "{asked} in {allowed}");
        }
        for (allowed, asked) in [
            ("/srv/data", "/srv"),
            ("/srv/data", "/srv/database"),
            ("/srv", "/"),
            (r"C:\srv", r"D:\srv"),
            ("/srv", "srv"),
        ] {
            assert!(!finds(allowed, asked), "{asked} in {allowed}");
        }
    }

    #[test]
    fn an_agent_has_its_name_and_what_it_says_of_itself() {
        let attributes = BTreeMap::from([("zone".into(), "a".into())]);

        assert_eq!(find("hostname", "h1", &attributes), Some("h1"));
        assert_eq!(find("zone", "h1", &attributes), Some("a"));
        assert_eq!(find("rack", "h1", &attributes), None);
        assert!(is_reserved("hostname") && is_reserved("haggle.os") && !is_reserved("haggle") && !is_reserved("zone"));
    }
}
