//! What Windows says and wants to know about who owns what: the pieces that more than one module needs.

use std::fmt;
use std::io;
use std::mem;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    ACL, GetSecurityDescriptorSacl, GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_ACCESS_MASK,
    TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// What processes of low integrity may write to: those who are below what they write to may not.
/// <https://learn.microsoft.com/windows/win32/secauthz/mandatory-integrity-control>
const LOW: &str = "S:(ML;;NW;;;LW)";

/// The same for a folder and all that is in it.
const LOW_FOLDER: &str = "S:(ML;OICI;NW;;;LW)";

/// Who may do what with an object, as the system keeps it.
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

#[expect(unsafe_code, reason = "is only read, and freed by who drops it last")]
// SAFETY: nothing changes what it points to, from any thread.
unsafe impl Send for Descriptor {}
#[expect(unsafe_code, reason = "as above")]
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// For this process's user, whole, and nobody else; also for processes of that user that have lowered themselves.
    pub(crate) fn own_and_of_low_integrity() -> io::Result<Self> {
        let user = user()?;
        Self::parse(&format!("D:P(A;;GA;;;{user}){LOW}"))
    }

    /// Lets processes of low integrity write to a folder, whoever else may do what with it.
    pub(crate) fn folder_of_low_integrity() -> io::Result<Self> {
        Self::parse(LOW_FOLDER)
    }

    fn parse(text: &str) -> io::Result<Self> {
        let text = wide(text);
        let mut descriptor = ptr::null_mut();
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the text ends with a zero, and a pointer is written to a pointer.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(descriptor)) }
    }

    /// For an object that is made while this lives, and not inherited by other programs.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES { nLength: size::<SECURITY_ATTRIBUTES>(), lpSecurityDescriptor: self.0, bInheritHandle: 0 }
    }

    /// Its list with the integrity, which lives as long as this does.
    pub(crate) fn label(&self) -> io::Result<*const ACL> {
        let (mut there, mut list, mut by_default) = (0, ptr::null_mut(), 0);
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the descriptor is whole, and the three are written to.
        let done = unsafe { GetSecurityDescriptorSacl(self.0, &raw mut there, &raw mut list, &raw mut by_default) };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        if there == 0 || list.is_null() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this system knows no integrity of objects"));
        }
        Ok(list)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the system allocated it, and nobody has it any more.
        unsafe {
            LocalFree(self.0)
        };
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").finish_non_exhaustive()
    }
}

/// Who this process is.
pub(crate) fn token(access: TOKEN_ACCESS_MASK) -> io::Result<OwnedHandle> {
    let mut token = ptr::null_mut();
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: a handle is written to a handle, which nobody else has then.
    unsafe {
        if OpenProcessToken(GetCurrentProcess(), access, &raw mut token) == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedHandle::from_raw_handle(token))
    }
}

/// What a token says about itself: the structure of that class, with whatever it points to behind it, aligned as all of
/// them are.
pub(crate) fn told(token: &OwnedHandle, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    let mut told: Vec<u64> = vec![0; 32];
    loop {
        let bytes = u32::try_from(told.len() * mem::size_of::<u64>()).expect("it is small");
        let mut wanted = 0;
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: so many bytes may be written there.
        let done = unsafe {
            GetTokenInformation(token.as_raw_handle(), class, told.as_mut_ptr().cast(), bytes, &raw mut wanted)
        };
        if done != 0 {
            return Ok(told);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error().map(i32::cast_unsigned) != Some(ERROR_INSUFFICIENT_BUFFER) || wanted <= bytes {
            return Err(error);
        }
        told.resize((wanted as usize).div_ceil(mem::size_of::<u64>()), 0);
    }
}

/// This process's user, as security descriptors name it.
fn user() -> io::Result<String> {
    let told = told(&token(TOKEN_QUERY)?, TokenUser)?;
    let mut text = ptr::null_mut();
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: the class says what was told, and the text ends with a zero, which is looked for before it is freed.
    unsafe {
        let user = told.as_ptr().cast::<TOKEN_USER>();
        if ConvertSidToStringSidW((*user).User.Sid, &raw mut text) == 0 {
            return Err(io::Error::last_os_error());
        }
        let length = (0..).take_while(|&at| *text.add(at) != 0).count();
        let name = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(name)
    }
}

/// Text as the system reads it.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Bytes of a structure, as the system wants to be told.
pub(crate) fn size<T>() -> u32 {
    u32::try_from(mem::size_of::<T>()).expect("no structure of the system is that large")
}
