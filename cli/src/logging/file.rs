//! A log in a file that does not grow without end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a log. There are two of them: this one, and the one before it.
const MAX: u64 = 10 << 20;

/// A file that makes room for what comes by keeping what was as `FILE.1`.
pub(super) struct LogFile {
    path: PathBuf,
    /// `None` after it could not be opened anew; that is tried again with the next line.
    file: Option<File>,
    written: u64,
    max: u64,
}

impl LogFile {
    /// Goes on where the file ends; makes it and its folder when they are not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_max(path, MAX)
    }

    fn with_max(path: &Path, max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file: Some(file), written, max })
    }

    fn turn(&mut self) -> io::Result<()> {
        // Some systems move no file that is open.
        self.file = None;
        let mut before = OsString::from(&self.path);
        before.push(".1");
        fs::rename(&self.path, before)?;
        self.written = 0;
        Ok(())
    }
}

/// A line at a time, none of which is cut.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.written >= self.max {
            self.turn()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(append(&self.path)?),
        };
        file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_and_keeps_the_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs").join("haggle.log");
        let read = |name: &str| fs::read_to_string(path.with_file_name(name)).unwrap_or_default();

        writeln!(LogFile::with_max(&path, 10).unwrap(), "one").unwrap();
        let mut log = LogFile::with_max(&path, 10).unwrap();
        for line in ["two two\n", "three\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }

        assert_eq!(read("haggle.log.1"), "one\ntwo two\n");
        assert_eq!(read("haggle.log"), "three\n");
        log.write_all(b"fourfour\n").unwrap();
        log.write_all(b"five\n").unwrap();
        assert_eq!((read("haggle.log.1").as_str(), read("haggle.log").as_str()), ("three\nfourfour\n", "five\n"));
    }
}
