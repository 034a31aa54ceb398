//! Landlock: which files and connections are left. <https://docs.kernel.org/userspace-api/landlock.html>

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::Lockdown;

/// The newest rules that are asked for: signals and abstract sockets, Linux 6.12. An older kernel keeps to those it
/// has.
const NEWEST: ABI = ABI::V6;

/// What every process reads of itself: wasmtime asks which of its pages were written to.
const ITSELF: &str = "/proc/self";

/// What the resolution of names reads.
const RESOLVER: [&str; 6] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/run/systemd/resolve"];

pub(super) fn confine(left: &Lockdown) -> Result<(), String> {
    match try_confine(left) {
        Ok(RulesetStatus::NotEnforced) => Err("this kernel has no Landlock, or it is turned off".to_owned()),
        Ok(RulesetStatus::PartiallyEnforced) => {
            Err("not all of it: this kernel's Landlock is older than that of Linux 6.12".to_owned())
        }
        Ok(RulesetStatus::FullyEnforced) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn try_confine(left: &Lockdown) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock;
    let write = AccessFs::from_all(NEWEST) & !(devices | AccessFs::Execute | AccessFs::IoctlDev);
    let resolver: &[&str] = if left.network { &RESOLVER } else { &[] };
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(BitFlags::<Scope>::all())?;
    if !left.network {
        rules = rules.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let restricted = rules
        .create()?
        .add_rules(path_beneath_rules([ITSELF].iter().chain(resolver), read))?
        .add_rules(path_beneath_rules(&left.read, read))?
        .add_rules(path_beneath_rules(&left.write, write))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}
