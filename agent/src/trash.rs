//! Removes what may be large on a thread that may wait for the disk.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SendError, Sender, channel};
use std::thread;

/// What the names of things end with that are on their way out. Nothing else in a work folder is called so, and whoever takes stock
/// of a folder removes what it does not know.
const GONE: &str = "gone";

/// Starts its thread for the first thing that goes.
#[derive(Debug, Default)]
pub(crate) struct Trash {
    /// `None` where there is no thread to be had.
    thread: OnceLock<Option<Sender<PathBuf>>>,
    /// Numbers what goes.
    last: AtomicU64,
}

impl Trash {
    /// Takes the file or folder away from its place at once; its bytes go soon after.
    ///
    /// # Errors
    /// When it is not there, or the disk refuses.
    pub(crate) fn take(&self, path: &Path) -> io::Result<()> {
        let mut gone = OsString::from(path);
        gone.push(format!(".{}.{GONE}", self.last.fetch_add(1, Ordering::Relaxed)));
        fs::rename(path, &gone)?;
        let refused = match self.thread.get_or_init(start) {
            Some(thread) => thread.send(gone.into()).err().map(|SendError(gone)| gone),
            None => Some(gone.into()),
        };
        refused.as_deref().into_iter().for_each(remove);
        Ok(())
    }
}

fn start() -> Option<Sender<PathBuf>> {
    let (sender, gone) = channel::<PathBuf>();
    let remove_all = move || gone.into_iter().for_each(|gone| remove(&gone));
    let started = thread::Builder::new().name("haggle-trash".to_owned()).spawn(remove_all);
    started.map(|_| sender).inspect_err(|error| tracing::warn!(%error, "what is removed is waited for")).ok()
}

fn remove(gone: &Path) {
    let removed = if gone.is_dir() { fs::remove_dir_all(gone) } else { fs::remove_file(gone) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %gone.display(), %error, "this goes when the agent starts again");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until nothing is left in the folder.
    fn emptied(folder: &Path) {
        while fs::read_dir(folder).unwrap().next().is_some() {
            thread::yield_now();
        }
    }

    #[test]
    fn what_goes_is_away_at_once_and_soon_gone() {
        let (dir, trash) = (tempfile::tempdir().unwrap(), Trash::default());
        let path = dir.path().join("thing");
        for _ in 0..2 {
            fs::create_dir_all(path.join("within")).unwrap();

            trash.take(&path).unwrap();

            assert!(!path.exists());
        }
        fs::write(&path, "a file").unwrap();
        trash.take(&path).unwrap();
        assert!(!path.exists());
        emptied(dir.path());
    }

    #[test]
    fn what_is_not_there_cannot_go() {
        let dir = tempfile::tempdir().unwrap();

        let error = Trash::default().take(&dir.path().join("nothing")).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
