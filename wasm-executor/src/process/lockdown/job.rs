//! A job: what a process and those that it starts may have together.
//! <https://learn.microsoft.com/windows/win32/procthread/job-objects>

use std::io;
use std::mem;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};
use std::ptr;
use std::time::Duration;

use haggle_core::Bytes;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_PROCESS_MEMORY,
    JOB_OBJECT_LIMIT_PROCESS_TIME, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    QueryInformationJobObject, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use crate::windows::size;

/// What one process in a job may have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Memory that is committed to it.
    pub(crate) memory: Option<Bytes>,
    /// CPU time in user mode, after which it is ended with `ERROR_NOT_ENOUGH_QUOTA`.
    pub(crate) cpu: Option<Duration>,
    /// Whether it is the only one, and can start no other.
    pub(crate) alone: bool,
}

/// Ends all that is in it when it is dropped. Nothing in it can leave it.
#[derive(Debug)]
pub(crate) struct Job(OwnedHandle);

impl Job {
    pub(crate) fn new(limits: &Limits) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: a job without a name needs no pointers; the handle is checked before it is owned.
        let job = unsafe {
            let job = CreateJobObjectW(ptr::null(), ptr::null());
            if job.is_null() {
                return Err(io::Error::last_os_error());
            }
            Self(OwnedHandle::from_raw_handle(job))
        };
        let wanted = extended(limits);
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the class says what is read there, and it is as long as it says.
        let done = unsafe {
            SetInformationJobObject(
                job.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const wanted).cast(),
                size::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
    }

    pub(crate) fn take_in(&self, process: RawHandle) -> io::Result<()> {
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: both handles are open.
        let done = unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process) };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Some systems accept limits and do not keep them: then they do not tell them either.
    fn keeps(&self, limits: &Limits) -> io::Result<bool> {
        let mut kept = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the class says what is written there, and there is room for it.
        let done = unsafe {
            QueryInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw mut kept).cast(),
                size::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>(),
                ptr::null_mut(),
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        let wanted = extended(limits);
        Ok(kept.BasicLimitInformation.LimitFlags == wanted.BasicLimitInformation.LimitFlags
            && kept.ProcessMemoryLimit == wanted.ProcessMemoryLimit)
    }
}

fn extended(limits: &Limits) -> JOBOBJECT_EXTENDED_LIMIT_INFORMATION {
    let mut all = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    // Neither of the flags that let a process out of its job is among them.
    all.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
    if let Some(memory) = limits.memory {
        all.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
        all.ProcessMemoryLimit = usize::try_from(memory.get()).unwrap_or(usize::MAX);
    }
    if let Some(cpu) = limits.cpu {
        all.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_TIME;
        // In units of 100 ns.
        all.BasicLimitInformation.PerProcessUserTimeLimit = i64::try_from(cpu.as_nanos() / 100).unwrap_or(i64::MAX);
    }
    if limits.alone {
        all.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
        all.BasicLimitInformation.ActiveProcessLimit = 1;
    }
    all
}

/// Puts this process into a job of its own, for good.
pub(crate) fn enter(limits: &Limits) -> Result<(), String> {
    let job = Job::new(limits).map_err(|error| format!("no job: {error}"))?;
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: it names this process, whatever happens.
    let this = unsafe { GetCurrentProcess() };
    job.take_in(this).map_err(|error| format!("not in a job: {error}"))?;
    let keeps = job.keeps(limits);
    // It ends with this process, and this process with it.
    mem::forget(job);
    match keeps {
        Ok(true) => Ok(()),
        Ok(false) => Err("this system does not keep the limits of jobs".to_owned()),
        Err(error) => Err(format!("the limits of its job cannot be read: {error}")),
    }
}
