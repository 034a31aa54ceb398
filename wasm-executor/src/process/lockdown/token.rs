//! A token: who a process is, and how much that counts.
//! <https://learn.microsoft.com/windows/win32/secauthz/mandatory-integrity-control>

use std::io;
use std::mem::offset_of;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::ptr;

use windows_sys::Win32::Foundation::LUID;
use windows_sys::Win32::Security::Authorization::{SE_FILE_OBJECT, SetNamedSecurityInfoW};
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, CreateWellKnownSid, GetLengthSid, GetSidSubAuthority, LABEL_SECURITY_INFORMATION,
    LUID_AND_ATTRIBUTES, SE_PRIVILEGE_REMOVED, SID_AND_ATTRIBUTES, SetTokenInformation, TOKEN_ADJUST_DEFAULT,
    TOKEN_ADJUST_PRIVILEGES, TOKEN_MANDATORY_LABEL, TOKEN_PRIVILEGES, TOKEN_QUERY, TokenIntegrityLevel,
    TokenPrivileges, WinLowLabelSid,
};
use windows_sys::Win32::System::SystemServices::{SE_GROUP_INTEGRITY, SECURITY_MANDATORY_LOW_RID};

use crate::windows::{Descriptor, size, token, told};

/// `SeChangeNotifyPrivilege`, which everybody has: without it, each folder on the way to a file is checked.
const TRAVERSE: LUID = LUID { LowPart: 23, HighPart: 0 };

/// Bytes that no account is longer than.
const SID_MAX: usize = 68;

/// Gives up everything that the user may do beyond reading and writing what is theirs, for good.
pub(super) fn drop_privileges() -> Result<(), String> {
    let token = token(TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES).map_err(|error| error.to_string())?;
    for LUID_AND_ATTRIBUTES { Luid: privilege, .. } in privileges(&token)? {
        let removed = TOKEN_PRIVILEGES {
            PrivilegeCount: 1,
            Privileges: [LUID_AND_ATTRIBUTES { Luid: privilege, Attributes: SE_PRIVILEGE_REMOVED }],
        };
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the token is open, there is one privilege as it says, and nothing is asked back.
        let done = unsafe {
            AdjustTokenPrivileges(token.as_raw_handle(), 0, &raw const removed, 0, ptr::null_mut(), ptr::null_mut())
        };
        if done == 0 {
            return Err(io::Error::last_os_error().to_string());
        }
    }
    match privileges(&token)?.len() {
        0 => Ok(()),
        left => Err(format!("this system has left {left} of them")),
    }
}

/// All but [`TRAVERSE`].
fn privileges(token: &OwnedHandle) -> Result<Vec<LUID_AND_ATTRIBUTES>, String> {
    let told = told(token, TokenPrivileges).map_err(|error| error.to_string())?;
    let all = told.as_ptr().cast::<TOKEN_PRIVILEGES>();
    #[expect(unsafe_code, reason = "a list behind a structure")]
    // SAFETY: the class says what was told: a number, and so many behind it.
    let list = unsafe {
        let first = all.cast::<u8>().add(offset_of!(TOKEN_PRIVILEGES, Privileges)).cast::<LUID_AND_ATTRIBUTES>();
        (0..(*all).PrivilegeCount as usize).map(|at| first.add(at).read_unaligned()).collect::<Vec<_>>()
    };
    let is_traverse = |luid: LUID| (luid.LowPart, luid.HighPart) == (TRAVERSE.LowPart, TRAVERSE.HighPart);
    Ok(list.into_iter().filter(|privilege| !is_traverse(privilege.Luid)).collect())
}

/// Becomes a process of low integrity, which writes to these folders and to nothing else that is the user's.
pub(super) fn lower(write: &[PathBuf]) -> Result<(), String> {
    // First, for afterwards it could not. A file system without integrity would leave it no folder at all.
    for folder in write {
        open_to_low(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let token = token(TOKEN_QUERY | TOKEN_ADJUST_DEFAULT).map_err(|error| error.to_string())?;
    set_low(&token).map_err(|error| error.to_string())?;
    match integrity(&token).map_err(|error| error.to_string())? {
        level if level <= SECURITY_MANDATORY_LOW_RID.cast_unsigned() => Ok(()),
        level => Err(format!("this system leaves its integrity at {level:#x}")),
    }
}

fn open_to_low(folder: &Path) -> io::Result<()> {
    let low = Descriptor::folder_of_low_integrity()?;
    let path: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: the path ends with a zero, the list lives as long as its descriptor, and nothing else is to be set.
    let failed = unsafe {
        SetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            LABEL_SECURITY_INFORMATION,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null(),
            low.label()?,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed.cast_signed())) }
}

fn set_low(token: &OwnedHandle) -> io::Result<()> {
    // As long words, for what is in it has such.
    let mut account = [0_u64; SID_MAX.div_ceil(8)];
    let mut length = u32::try_from(SID_MAX).expect("it is small");
    let sid = account.as_mut_ptr().cast();
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: there is room for any account, which is known before it is used and lives until the last call.
    let done = unsafe {
        if CreateWellKnownSid(WinLowLabelSid, ptr::null_mut(), sid, &raw mut length) == 0 {
            return Err(io::Error::last_os_error());
        }
        let label = TOKEN_MANDATORY_LABEL {
            Label: SID_AND_ATTRIBUTES { Sid: sid, Attributes: SE_GROUP_INTEGRITY.cast_unsigned() },
        };
        let bytes = size::<TOKEN_MANDATORY_LABEL>() + GetLengthSid(sid);
        SetTokenInformation(token.as_raw_handle(), TokenIntegrityLevel, (&raw const label).cast(), bytes)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn integrity(token: &OwnedHandle) -> io::Result<u32> {
    let told = told(token, TokenIntegrityLevel)?;
    #[expect(unsafe_code, reason = "a structure as the system tells it")]
    // SAFETY: the class says what was told, and an account for integrity has one part.
    Ok(unsafe {
        let label = told.as_ptr().cast::<TOKEN_MANDATORY_LABEL>();
        *GetSidSubAuthority((*label).Label.Sid, 0)
    })
}
