//! Mitigations: what a process has the system refuse to it from now on, for good.
//! <https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-setprocessmitigationpolicy>
//!
//! Not among them is the one against machine code that was made while a process runs: that is what an executor runs.

use std::io;

use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessMitigationPolicy, PROCESS_MITIGATION_POLICY, ProcessExtensionPointDisablePolicy,
    ProcessFontDisablePolicy, ProcessImageLoadPolicy, ProcessSideChannelIsolationPolicy,
    ProcessSystemCallDisablePolicy, SetProcessMitigationPolicy,
};

/// Each with the bits that are set, and how people call it.
const POLICIES: [(PROCESS_MITIGATION_POLICY, u32, &str); 5] = [
    // The half of the kernel that draws windows: no program without one needs it, and it has had many holes.
    (ProcessSystemCallDisablePolicy, 1, "calls of win32k"),
    // Libraries that others have the system load into every program.
    (ProcessExtensionPointDisablePolicy, 1, "extension points"),
    (ProcessFontDisablePolicy, 1, "fonts of others"),
    // Libraries from other machines, or that processes of low integrity wrote; those of the system go first.
    (ProcessImageLoadPolicy, 0b111, "foreign libraries"),
    // Pages that are alike are not made one with those of other processes, which could be measured.
    (ProcessSideChannelIsolationPolicy, 0b100, "shared pages"),
];

pub(super) fn apply() -> Result<(), String> {
    let refused: Vec<String> = POLICIES
        .iter()
        .filter_map(|&(policy, bits, name)| Some(format!("{name}: {}", set(policy, bits).err()?)))
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(refused.join(", ")) }
}

/// Some systems accept any of them and keep none.
fn set(policy: PROCESS_MITIGATION_POLICY, bits: u32) -> Result<(), String> {
    let mut kept = 0_u32;
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: each of these policies is one number of 32 bits, and both calls are told its size.
    let (set, told) = unsafe {
        let set = SetProcessMitigationPolicy(policy, (&raw const bits).cast(), size_of::<u32>());
        let error = (set == 0).then(io::Error::last_os_error);
        (error, GetProcessMitigationPolicy(GetCurrentProcess(), policy, (&raw mut kept).cast(), size_of::<u32>()))
    };
    match set {
        Some(error) => Err(error.to_string()),
        None if told != 0 && kept & bits == bits => Ok(()),
        None => Err("this system does not keep it".to_owned()),
    }
}
