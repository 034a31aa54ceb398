//! Whether a task's spec can be right, whatever the cluster.

use alloc::collections::BTreeSet;
use alloc::string::String;

use crate::grants::SCRATCH;
use crate::invalid::{InvalidSpec, WEIGHT_MAX};
use crate::quantity::Bytes;
use crate::resources::Resources;
use crate::task::TaskSpec;

/// A task's standard input. Larger ones travel as input files, which are stored once and not in every launch.
pub const STDIN_MAX: Bytes = Bytes::from_mib(1);
/// Arguments, environment and name together: an eighth of what Linux lets a program have, a quarter of a gRPC
/// message of default size.
pub const TEXT_MAX: Bytes = Bytes::from_mib(1);
/// A task's label, in bytes: it is kept for as long as the task is known, and longer ones fit into no table.
pub const NAME_MAX: usize = 256;
/// Input files of one task: each costs the agent a fetch and the guest's folder an entry.
pub const INPUTS_MAX: usize = 1024;

impl TaskSpec {
    /// Whether it could run at all, given an agent that is large enough.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidSpec> {
        self.check_quotas()?;
        self.check_texts()?;
        self.check_inputs()?;
        self.grants.check(!self.resources.disk.is_zero())
    }

    fn check_quotas(&self) -> Result<(), InvalidSpec> {
        let none = |is_none: bool, what| if is_none { Err(InvalidSpec::NoQuota(what)) } else { Ok(()) };
        let Resources { cpus, revocable, .. } = self.resources;
        none(cpus.is_zero() && revocable.is_zero() && self.sharing.burst.is_zero(), "cpus")?;
        if !cpus.is_zero() && !revocable.is_zero() {
            return Err(InvalidSpec::BothCpus);
        }
        none(self.resources.mem.is_zero(), "mem")?;
        if let Some(weight) = self.sharing.weight.filter(|&weight| weight.is_zero() || weight > WEIGHT_MAX) {
            return Err(InvalidSpec::Weight(weight));
        }
        let zero = |is_zero: bool, what| if is_zero { Err(InvalidSpec::ZeroLimit(what)) } else { Ok(()) };
        zero(self.limits.fuel.is_some_and(|fuel| fuel.is_zero()), "fuel")?;
        zero(self.limits.time.is_some_and(|time| time.is_zero()), "time")
    }

    fn check_texts(&self) -> Result<(), InvalidSpec> {
        let fits = |what, lengths: usize, max: Bytes| match Bytes::new(lengths as u64) {
            has if has > max => Err(InvalidSpec::TooLarge { what, has, max }),
            _ => Ok(()),
        };
        fits("bytes of the name", self.name.len(), Bytes::new(NAME_MAX as u64))?;
        fits("bytes of standard input", self.stdin.len(), STDIN_MAX)?;
        let args = self.args.iter().map(String::len);
        let env = self.env.iter().map(|(name, value)| name.len() + value.len());
        fits("name, arguments and environment", self.name.len() + args.chain(env).sum::<usize>(), TEXT_MAX)?;
        let no_nul = |what, text: &String| match text.contains('\0') {
            true => Err(InvalidSpec::Nul { what, text: text.clone() }),
            false => Ok(()),
        };
        self.args.iter().try_for_each(|arg| no_nul("argument", arg))?;
        self.env.iter().try_for_each(|(name, value)| match name.is_empty() || name.contains(['=', '\0']) {
            true => Err(InvalidSpec::VariableName(name.clone())),
            false => no_nul("variable", value),
        })
    }

    fn check_inputs(&self) -> Result<(), InvalidSpec> {
        if self.inputs.len() > INPUTS_MAX {
            return Err(InvalidSpec::TooManyInputs { has: self.inputs.len(), max: INPUTS_MAX });
        }
        let mut paths = BTreeSet::new();
        for input in &self.inputs {
            let path = match input.guest_path.strip_suffix('/') {
                Some(empty_folder) if is_in_scratch(empty_folder) => empty_folder,
                _ => &input.guest_path,
            };
            let parts = path.strip_prefix('/').into_iter().flat_map(|below_root| below_root.split('/'));
            let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\0', '\\']);
            if !path.starts_with('/') || parts.into_iter().any(bad) {
                return Err(InvalidSpec::InputPath(input.guest_path.clone()));
            }
            if self.resources.disk.is_zero() && is_in_scratch(path) {
                return Err(InvalidSpec::InputWithoutScratch(path.into()));
            }
            if !paths.insert(path) {
                return Err(InvalidSpec::InputTwice(path.into()));
            }
        }
        let is_below_another =
            |path: &&&str| path.match_indices('/').skip(1).any(|(end, _)| paths.contains(&path[..end]));
        match paths.iter().find(is_below_another) {
            Some(path) => Err(InvalidSpec::InputTwice((*path).into())),
            None => Ok(()),
        }
    }
}

/// Whether a path leads below the scratch folder.
fn is_in_scratch(path: &str) -> bool {
    path.strip_prefix(SCRATCH).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
