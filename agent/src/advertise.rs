//! What an agent says of itself by attributes: what it is, and what its operator allows.

use std::collections::BTreeMap;
use std::env::consts;
use std::path::{Path, PathBuf};

use haggle_core::attributes::{ARCH, NET, OS, RUNTIME, folder, is_reserved};

use crate::config::Config;

/// An attribute that only the agent itself may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the attribute {0} is none for an operator: hostname is the agent's name (--name), and names that begin with haggle. are what \
     the agent says of itself, such as the network and the folders that it allows (--allow-network, --allow-folder)"
)]
pub struct ReservedAttribute(String);

/// Its operator's attributes and its own.
///
/// # Errors
/// When an operator's has a name that is reserved.
pub(crate) fn attributes(config: &Config) -> Result<BTreeMap<String, String>, ReservedAttribute> {
    if let Some(name) = config.attributes.keys().find(|name| is_reserved(name)) {
        return Err(ReservedAttribute(name.clone()));
    }
    let mut all = config.attributes.clone();
    let mut say = |name: String, value: &str| all.insert(name, value.to_owned());
    say(OS.to_owned(), consts::OS);
    say(ARCH.to_owned(), consts::ARCH);
    for runtime in ["wasip1", "wasip2"] {
        say(format!("{RUNTIME}{runtime}"), "wasmtime");
    }
    if config.allow_network {
        say(NET.to_owned(), "allowed");
    }
    // Tasks may name it as its operator did, or as the system does once links are followed.
    for path in config.allowed_folders.iter().flat_map(|path| [std::path::absolute(path), path.canonicalize()]) {
        // One that is not there is told of where folders are checked, and one that is not UTF-8 cannot be asked for.
        let Some(path) = path.ok().as_deref().and_then(plain) else { continue };
        if let Some(rest) = without_drive(&path) {
            say(folder(&rest), "read");
        }
        say(folder(&path), "read");
    }
    Ok(all)
}

/// A path as tasks name it: on Windows without what marks a path that links were followed of.
fn plain(path: &Path) -> Option<String> {
    let trimmed: PathBuf = path.components().collect();
    let text = trimmed.to_str()?;
    Some(text.strip_prefix(r"\\?\").unwrap_or(text).to_owned())
}

/// The name without a drive of what is on the agent's own drive, as tasks name it: Windows finds `/srv` there.
fn without_drive(path: &str) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    let (drive, rest) = path.split_at_checked(2).filter(|(drive, _)| drive.ends_with(':'))?;
    here.to_str()?.get(..2)?.eq_ignore_ascii_case(drive).then(|| rest.replace('\\', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::new("127.0.0.1", "a", "w", "c");
        config.attributes = [("rack".to_owned(), "b7".to_owned())].into();
        config
    }

    #[test]
    fn an_agent_says_what_it_is_and_what_its_operator_said() {
        let said = attributes(&config()).unwrap();

        assert_eq!(said["haggle.os"], consts::OS);
        assert_eq!(said["haggle.arch"], consts::ARCH);
        assert_eq!((said["haggle.runtime.wasip1"].as_str(), said["rack"].as_str()), ("wasmtime", "b7"));
        assert!(!said.contains_key("haggle.net") && !said.keys().any(|name| name.starts_with("haggle.dir:")));
    }

    #[test]
    fn it_says_what_it_allows() {
        let data = tempfile::tempdir().unwrap();
        let name = folder(data.path().to_str().unwrap());
        let mut config = config();
        config.allow_network = true;
        config.allowed_folders = vec![data.path().join(".")];

        let said = attributes(&config).unwrap();

        assert_eq!((said["haggle.net"].as_str(), said[&name].as_str()), ("allowed", "read"));
    }

    #[cfg(windows)]
    #[test]
    fn a_folder_on_its_own_drive_is_found_without_the_drive() {
        let here = std::env::current_dir().unwrap();

        let said = attributes(&Config { allowed_folders: vec![here.clone()], ..config() }).unwrap();

        let path = here.to_str().unwrap();
        for name in [path.to_owned(), path[2..].replace('\\', "/")] {
            assert_eq!(haggle_core::attributes::find(&folder(&name), "a", &said), Some("read"), "{name}: {said:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_behind_a_link_has_both_names() {
        let outer = tempfile::tempdir().unwrap();
        let outer = outer.path().canonicalize().unwrap();
        let (data, link) = (outer.join("data"), outer.join("link"));
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();

        let said = attributes(&Config { allowed_folders: vec![link.clone()], ..config() }).unwrap();

        for path in [data, link] {
            assert_eq!(said[&folder(path.to_str().unwrap())], "read");
        }
    }

    #[test]
    fn an_operator_cannot_say_it_for_the_agent() {
        for name in ["haggle.os", "haggle.net", "haggle.dir:/", "haggle.anything", "hostname"] {
            let mut config = config();
            config.attributes.insert(name.to_owned(), "x".to_owned());

            let refused = attributes(&config).unwrap_err();

            assert!(refused.to_string().contains(name), "{refused}");
        }
    }
}
