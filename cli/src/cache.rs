//! Where this user's caches are.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/haggle`, or `~/.cache/haggle`, or `%LOCALAPPDATA%\haggle` on Windows; `None` for a user without a home.
pub(crate) fn folder() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// Haggle's folder in the one that `variable` names, or else in this one below the user's home. Windows has a folder for all
/// that a program keeps of its user on one machine, which nobody else can look into.
pub(crate) fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let usual =
        || if cfg!(windows) { absolute("LOCALAPPDATA") } else { absolute("HOME").map(|home| home.join(below_home)) };
    let all = absolute(variable).or_else(usual)?;
    Some(all.join("haggle"))
}

/// Where compiled modules are kept from one run to the next.
pub(crate) fn modules() -> Option<PathBuf> {
    folder().map(|cache| cache.join("modules"))
}
