//! What a task finds among its files: inputs, folders and volumes.

use std::path::PathBuf;

use haggle_core::VolumeId;

use super::pair;

/// An input: the path that the guest sees, and where it is on this machine.
pub(in crate::args) fn input(text: &str) -> Result<(String, PathBuf), String> {
    let (guest, host) = pair(text, "GUEST_PATH=HOST_PATH")?;
    if host.is_empty() {
        return Err(format!("the host path of {guest:?} is empty"));
    }
    Ok((guest_path(&guest)?, PathBuf::from(host)))
}

/// The rule of [`haggle_core::Input::guest_path`]: absolute, every part a plain name.
fn guest_path(path: &str) -> Result<String, String> {
    let wrong = |what: &str| Err(format!("the guest path {path:?} {what}"));
    let Some(relative) = path.strip_prefix('/') else {
        return wrong("must be absolute, like /data/words.txt");
    };
    let relative = relative.strip_suffix('/').unwrap_or(relative);
    if relative.split('/').any(is_detour) {
        return wrong("must name a file or folder below /, without empty parts, . or ..");
    }
    Ok(format!("/{relative}"))
}

/// A folder that a task finds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenFolder {
    /// Where it is, on this machine or on the agent's.
    pub(crate) host: PathBuf,
    /// The name under which the task finds it.
    pub(crate) guest: String,
}

/// A volume that a task finds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Which one.
    pub(crate) volume: VolumeId,
    /// The name under which the task finds it.
    pub(crate) guest: String,
    /// Whether the task may change what is in it.
    pub(crate) writable: bool,
}

/// A volume, where the task finds it, and whether only to read: `volume-1.3:/data` or `volume-1.3:/data:ro`.
pub(in crate::args) fn mount(text: &str) -> Result<Mount, String> {
    let wrong =
        || format!("{text:?} is no volume and a path of the task's, like volume-1.3:/data or volume-1.3:/data:ro");
    let (volume, rest) = text.split_once(':').ok_or_else(wrong)?;
    let volume = volume.parse().map_err(|error| format!("{error}; `haggle volume ls` lists those that there are"))?;
    let (guest, writable) = match rest.rsplit_once(':') {
        None => (rest, true),
        Some((guest, "ro")) => (guest, false),
        Some((guest, "rw")) => (guest, true),
        Some((_, other)) => return Err(format!("{other:?} is neither ro nor rw, as in volume-1.3:/data:ro")),
    };
    Ok(Mount { volume, guest: guest_path(guest)?, writable })
}

/// A folder of this machine, and what the task calls it if not the same: `./data` or `./data::/in`.
pub(in crate::args) fn folder(text: &str) -> Result<OpenFolder, String> {
    let (host, named) = text.rsplit_once("::").map_or((text, None), |(host, guest)| (host, Some(guest)));
    if host.is_empty() {
        return Err(format!("{text:?} names no folder, as ./data or ./data::/in do"));
    }
    let guest = named.unwrap_or(host);
    let plain = || {
        if guest == "/" {
            return Some("/");
        }
        let path = guest.strip_suffix('/').unwrap_or(guest);
        let path = path.strip_prefix("./").filter(|rest| !rest.is_empty()).unwrap_or(path);
        let is_odd = |part: &str| is_detour(part) || part.contains(['\0', '\\']);
        let is_plain = path == "." || !path.strip_prefix('/').unwrap_or(path).split('/').any(is_odd);
        is_plain.then_some(path)
    };
    match plain() {
        Some(guest) => Ok(OpenFolder { host: PathBuf::from(host), guest: guest.to_string() }),
        None => Err(format!(
            "{guest:?} cannot be a task's name for a folder, for it has empty parts, .. or a backslash; name another \
             one, as in {host}::/data"
        )),
    }
}

/// A folder of the agent's machine, by its absolute path there: `/srv/data` or `/srv/data::/in`, or `D:\data::/in` on Windows.
pub(in crate::args) fn host_folder(text: &str) -> Result<OpenFolder, String> {
    let folder = folder(text)?;
    let host = folder.host.to_str().unwrap_or_default();
    if !haggle_core::grants::is_on_a_machine(host) {
        return Err(format!(
            "{host:?} is not an absolute path without empty parts, . and .., as on the agent it must be"
        ));
    }
    Ok(folder)
}

fn is_detour(part: &str) -> bool {
    matches!(part, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_paths_are_absolute_and_plain() {
        assert_eq!(input("/data/=words").unwrap().0, "/data");
        for wrong in ["data=x", "/=x", "/a/../b=x", "/a//b=x", "/./a=x", "/a="] {
            assert!(input(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_has_its_own_name_or_another() {
        for (text, host, guest) in [
            (".", ".", "."),
            ("./data/", "./data/", "data"),
            ("data::/", "data", "/"),
            ("/srv/data", "/srv/data", "/srv/data"),
            ("../x::/in/", "../x", "/in"),
            ("a::b::c", "a::b", "c"),
        ] {
            assert_eq!(folder(text), Ok(OpenFolder { host: host.into(), guest: guest.into() }), "{text}");
        }
        for wrong in ["", "::/in", "../x", "x::", "x::/a/../b", "x::a//b", "x::a\\b"] {
            assert!(folder(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_of_the_agents_machine_is_named_in_full() {
        assert_eq!(host_folder("/srv/data::/in").unwrap().guest, "/in");
        assert_eq!(host_folder(r"D:\srv\data::/in").unwrap().host, PathBuf::from(r"D:\srv\data"));
        for wrong in ["srv", ".", "/srv/../etc::/in", "/srv//data::/in", r"D:srv::/in", r"D:\srv\..\etc::/in"] {
            assert!(host_folder(wrong).is_err(), "{wrong}");
        }
    }
}
