//! Seccomp: which calls of the kernel are left.
//!
//! A list of what is refused, not of what is allowed: a new version of the C library may call the kernel in new ways
//! to do what is harmless, and a guest that fails for that on some machines is worth less than the last call refused.
//! Refused is what starts programs or processes, what reaches other processes, what changes the machine, and what has
//! had more than its part in breaking kernels.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refused whatever is asked.
const REFUSED: &[i64] = &[
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Other worlds.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    // Who it is, and whose files are whose.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // What is large, and new, and not needed here.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_personality,
    libc::SYS_vmsplice,
    libc::SYS_lookup_dcookie,
    // Queues and memory that other processes of this user may share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
];

/// Those that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

pub(super) fn filter(network: bool) -> Result<(), String> {
    install(network).map_err(|error| error.to_string())
}

#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error(transparent)]
    Rules(#[from] BackendError),
    #[error(transparent)]
    Install(#[from] seccompiler::Error),
}

fn install(network: bool) -> Result<(), FilterError> {
    let mut refused: Rules = REFUSED.iter().chain(OLD).map(|&call| (call, Vec::new())).collect();
    // Threads are clones, too, and share everything with their process.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    refused.insert(libc::SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(thread), 0)])?]);
    let me = u64::from(std::process::id());
    refused.insert(libc::SYS_kill, vec![rule(&[(0, SeccompCmpOp::Ne, me)])?]);
    refused.insert(libc::SYS_tgkill, vec![rule(&[(0, SeccompCmpOp::Ne, me)])?]);
    refused.insert(libc::SYS_prlimit64, vec![rule(&[(0, SeccompCmpOp::Ne, 0), (0, SeccompCmpOp::Ne, me)])?]);
    refused.insert(libc::SYS_socket, if network { beyond_the_internet()? } else { Vec::new() });

    // What `clone3` is asked lies in memory, where no filter looks. Told that there is no such call, the C library
    // takes the other.
    let unknown: Rules = [(libc::SYS_clone3, Vec::new())].into_iter().collect();
    apply_filter(&program(unknown, libc::ENOSYS)?)?;
    apply_filter(&program(refused, libc::EPERM)?)?;
    Ok(())
}

/// Sockets that are neither of the internet protocols, and those that make up packets themselves.
fn beyond_the_internet() -> Result<Vec<SeccompRule>, BackendError> {
    let [v4, v6, raw, kind] =
        [libc::AF_INET, libc::AF_INET6, libc::SOCK_RAW, 0xf].map(|it| u64::from(it.unsigned_abs()));
    let other = rule(&[(0, SeccompCmpOp::Ne, v4), (0, SeccompCmpOp::Ne, v6)])?;
    Ok(vec![other, rule(&[(1, SeccompCmpOp::MaskedEq(kind), raw)])?])
}

/// Holds when all of these do: an argument by its place, a comparison, and what with.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let condition = |(place, how, value): &(u8, SeccompCmpOp, u64)| {
        SeccompCondition::new(*place, SeccompCmpArgLen::Dword, how.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}

fn program(rules: Rules, error: i32) -> Result<BpfProgram, BackendError> {
    let answer = SeccompAction::Errno(error.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture)?.try_into()
}
