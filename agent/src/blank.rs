//! The process of an agent's first executor, started before there is an agent: nothing else of a start takes as long.

use std::fmt;
use std::io;
use std::path::Path;
use std::thread::{self, JoinHandle};

use haggle_executor::process::{Blank, Folder, StartFailure};

/// A process that is being started, and waits to become an executor. Dropped, it is ended.
pub struct Starting(Option<JoinHandle<Result<Blank, StartFailure>>>);

impl Starting {
    /// Starts one of `program`, in a folder that is made for it.
    ///
    /// # Errors
    /// When there is no thread to be had, which waits for the system.
    pub fn begin(program: &Path, folder: &Path) -> io::Result<Self> {
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let start = move || {
            let made = Folder::create(&folder).map_err(|source| StartFailure::Folder { folder, source })?;
            Blank::start(&program, &made)
        };
        thread::Builder::new().name("haggle-begin".to_owned()).spawn(start).map(|thread| Self(Some(thread)))
    }

    /// Waits until it is started.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn started(mut self) -> Result<Blank, StartFailure> {
        let thread = self.0.take().expect("only this and the end take it");
        thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // The process ends with what it left here.
        drop(self.0.take().map(JoinHandle::join));
    }
}

impl fmt::Debug for Starting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starting").finish_non_exhaustive()
    }
}
