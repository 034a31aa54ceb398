//! Putting a file in the place of one that others may be reading.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, PersistError};

/// How long to wait for those that read the old one. They have it open for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Gives a draft the name of a file, which it replaces if there is one. Windows does not let go of a file that somebody has open:
/// there it is tried again for two seconds.
///
/// # Errors
/// When it cannot be replaced. The draft is gone then, and the file as it was.
pub fn replace_file(mut draft: NamedTempFile, path: &Path) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let PersistError { error, file } = match draft.persist(path) {
            Ok(_) => return Ok(()),
            Err(failed) => failed,
        };
        if !is_open_elsewhere(&error) || Instant::now() >= until {
            return Err(error);
        }
        draft = file;
        sleep(PAUSE);
    }
}

/// Windows says so in two ways: access denied, and a sharing violation.
fn is_open_elsewhere(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn draft(folder: &Path, text: &str) -> NamedTempFile {
        let mut draft = NamedTempFile::new_in(folder).unwrap();
        draft.write_all(text.as_bytes()).unwrap();
        draft
    }

    #[test]
    fn a_file_is_replaced_though_others_read_it_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        replace_file(draft(folder.path(), "0"), &path).unwrap();
        let (stop, stopped) = channel::<()>();
        let reader = thread::spawn({
            let path = path.clone();
            move || {
                let mut reads = 0_u64;
                while stopped.try_recv().is_err() || reads == 0 {
                    // On Wine it is away for a moment.
                    let open = File::open(&path);
                    sleep(Duration::from_millis(3));
                    reads += u64::from(open.is_ok());
                    drop(open);
                    sleep(Duration::from_millis(5));
                }
                reads
            }
        });

        for number in 1..=20 {
            replace_file(draft(folder.path(), &number.to_string()), &path).unwrap();
        }

        stop.send(()).unwrap();
        assert!(reader.join().unwrap() > 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "20");
    }

    #[test]
    fn what_cannot_be_replaced_is_said_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();

        replace_file(draft(folder.path(), "text"), &folder.path().join("nowhere/token")).unwrap_err();

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
