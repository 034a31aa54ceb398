//! Where this user's caches are.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/haggle`, or `~/.cache/haggle`; `None` for a user without a home.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("haggle"))
}

/// Where compiled modules are kept from one run to the next.
pub(crate) fn modules() -> Option<PathBuf> {
    folder().map(|cache| cache.join("modules"))
}
