//! What is in a volume already: its task may use what is left.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::pace;
use crate::wasi::{Disk, file_id};

/// Counts all that is in a folder. Links are not followed.
///
/// # Errors
/// When something in it cannot be read.
pub(crate) async fn take_stock(folder: &Path, disk: &Arc<Disk>) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                disk.found_folder();
                folders.push(entry.path());
            } else if kind.is_file() {
                let length = entry.metadata()?.len();
                disk.found_file(file_id(File::open(entry.path())?).await?, length);
            } else {
                disk.found_link(entry.metadata()?.len());
            }
            pace::breathe().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use haggle_core::{Bytes, Exceeded};

    use super::*;
    use crate::wasi::DiskRefusal;

    /// What is refused of a file of this length in a volume of 100 bytes.
    async fn refused(folder: &Path, length: u64) -> Option<DiskRefusal> {
        let disk = Arc::new(Disk::new(Bytes::new(100), Arc::default()));
        take_stock(folder, &disk).await.unwrap();
        let _ = disk.may_reach(1, length);
        disk.refused()
    }

    #[tokio::test]
    async fn what_earlier_tasks_left_counts() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("below/file"), [0; 60]).unwrap();

        assert_eq!(refused(dir.path(), 40).await, None);
        assert_eq!(refused(dir.path(), 41).await, Some(DiskRefusal::Bytes(Exceeded { limit: 100, used: 101 })));
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn a_file_with_two_names_counts_once_and_a_link_by_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, [0; 60]).unwrap();
        fs::hard_link(&file, dir.path().join("again")).unwrap();
        std::os::unix::fs::symlink("0123456789", dir.path().join("link")).unwrap();

        assert_eq!(refused(dir.path(), 30).await, None);
        assert!(refused(dir.path(), 31).await.is_some());
    }
}
