//! Where this user's caches are.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/haggle`, or `~/.cache/haggle`; `None` for a user without a home.
pub(crate) fn folder() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// Haggle's folder in the one that `variable` names, or else in this one below the user's home.
pub(crate) fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let all = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))?;
    Some(all.join("haggle"))
}

/// Where compiled modules are kept from one run to the next.
pub(crate) fn modules() -> Option<PathBuf> {
    folder().map(|cache| cache.join("modules"))
}
