//! Room on the file system that holds a folder.

use std::path::Path;

use haggle_core::Bytes;

/// What this user may still write to the file system that holds a folder.
///
/// # Errors
/// Says what went wrong.
#[cfg(windows)]
pub fn free(folder: &Path) -> Result<Bytes, String> {
    use std::os::windows::ffi::OsStrExt;
    use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

    // By any path, also one that begins with `\\?\` or names another machine: no list of disks has all of them.
    let path: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    let mut free = 0;
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: the path ends with a zero, a number is written to a number, and nothing else is asked for.
    let told = unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &raw mut free, std::ptr::null_mut(), std::ptr::null_mut()) };
    if told == 0 { Err(std::io::Error::last_os_error().to_string()) } else { Ok(Bytes::new(free)) }
}

/// What this user may still write to the file system that holds a folder.
///
/// # Errors
/// Says what went wrong.
#[cfg(not(windows))]
pub fn free(folder: &Path) -> Result<Bytes, String> {
    let told = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    Ok(Bytes::new(told.f_bavail.saturating_mul(told.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_some_room_here_and_none_in_no_folder() {
        let here = tempfile::tempdir().unwrap();

        assert!(free(here.path()).is_ok_and(|room| !room.is_zero()));
        assert!(free(&here.path().join("nowhere")).is_err());
    }

    #[test]
    #[cfg(windows)]
    fn a_folder_is_found_by_its_long_path() {
        let here = tempfile::tempdir().unwrap();
        let long = here.path().canonicalize().unwrap();

        assert!(long.to_str().unwrap().starts_with(r"\\?\"));
        assert!(free(&long).is_ok_and(|room| !room.is_zero()));
    }
}
