//! Amounts of resources, as flags name them.

use std::collections::BTreeMap;

use haggle_core::{Bytes, Ceiling, MilliCpu, Resources};

use super::{cpus_or_none, pair, role, size};

/// Amounts of some resources. What was not named is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpus: Option<MilliCpu>,
    pub(crate) mem: Option<Bytes>,
    pub(crate) disk: Option<Bytes>,
    /// Of resources of the operator's own making, in thousandths of one.
    pub(crate) scalars: BTreeMap<String, u64>,
}

impl Amounts {
    /// The same, with nothing of what was not named.
    pub(crate) fn resources(self) -> Resources {
        let Self { cpus, mem, disk, scalars } = self;
        let plain = Resources::new(cpus.unwrap_or_default(), mem.unwrap_or_default(), disk.unwrap_or_default());
        scalars.iter().fold(plain, |all, (name, amount)| all.with_scalar(name, *amount))
    }

    /// The same, with no bound on what was not named.
    pub(crate) fn ceiling(self) -> Ceiling {
        let Self { cpus, mem, disk, scalars } = self;
        Ceiling { cpus, mem, disk, scalars }
    }
}

/// Amounts of one resource or more: `cpus=2,mem=1GiB,gpu=1`.
pub(in crate::args) fn amounts(text: &str) -> Result<Amounts, String> {
    fn once<T>(amount: &mut Option<T>, name: &str, read: Result<T, String>) -> Result<(), String> {
        let read = read.map_err(|why| format!("{name}: {why}"))?;
        if amount.replace(read).is_some() { Err(format!("{name} is named twice; once is wanted")) } else { Ok(()) }
    }
    let mut amounts = Amounts::default();
    for part in text.split(',') {
        let (name, amount) = pair(part.trim(), "cpus=2,mem=1GiB,disk=1GiB,gpu=1, of which some may be left out")?;
        match name.as_str() {
            "cpus" => once(&mut amounts.cpus, "cpus", cpus_or_none(&amount))?,
            "mem" => once(&mut amounts.mem, "mem", size(&amount))?,
            "disk" => once(&mut amounts.disk, "disk", size(&amount))?,
            own => {
                let mut known = amounts.scalars.remove(scalar_name(own)?);
                once(&mut known, own, thousandths(&amount))?;
                amounts.scalars.extend(known.map(|amount| (own.to_owned(), amount)));
            }
        }
    }
    Ok(amounts)
}

/// What an agent keeps for a role: `eng/batch:cpus=2,mem=1GiB`.
pub(in crate::args) fn kept_for_role(text: &str) -> Result<(String, Amounts), String> {
    let (name, kept) = text.split_once(':').ok_or("it is not of the form ROLE:cpus=2,mem=1GiB")?;
    Ok((role(name)?, some_amounts(kept)?))
}

/// Amounts of which one at least is more than nothing.
pub(in crate::args) fn some_amounts(text: &str) -> Result<Amounts, String> {
    let amounts = amounts(text)?;
    if amounts.clone().resources().is_empty() { Err("nothing is no amount to reserve".into()) } else { Ok(amounts) }
}

/// Amounts of resources of the operator's own making alone, more than none of each: `gpu=2,licence=0.5`.
pub(in crate::args) fn scalars(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let Amounts { cpus, mem, disk, scalars } = amounts(text)?;
    let flag = match (cpus, mem, disk) {
        (Some(_), ..) => "cpus",
        (_, Some(_), _) => "mem",
        (.., Some(_)) => "disk",
        (None, None, None) => {
            return match scalars.iter().find(|(_, amount)| **amount == 0) {
                Some((name, _)) => Err(format!("{name}: 0 of it is none; leave it out")),
                None => Ok(scalars),
            };
        }
    };
    Err(format!("{flag} has a flag of its own, --{flag}"))
}

/// The name of a resource of the operator's own making. What is too like the name of another one was meant for that.
fn scalar_name(name: &str) -> Result<&str, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match name {
        "cpu" | "memory" | "disks" => Err(format!("{name:?} is none of the resources cpus, mem and disk")),
        "port" | "ports" => Err("ports are no amount: they are of one agent each".to_owned()),
        own if own.len() <= 64 && own.as_bytes()[0].is_ascii_alphabetic() && own.bytes().all(is_plain) => Ok(own),
        other => Err(format!(
            "{other:?} is no name of a resource: letters, digits, hyphens, underscores and dots, a letter first, at most 64"
        )),
    }
}

/// A number, in thousandths of one.
fn thousandths(text: &str) -> Result<u64, String> {
    let amount: Result<MilliCpu, _> = text.parse();
    amount
        .map(MilliCpu::get)
        .map_err(|_| format!("{text:?} is not a number like 2 or 0.5, in thousandths at the finest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_name_each_resource_once_and_none_that_there_is_not() {
        let (cpus, mem) = (Some(MilliCpu::new(1_500)), Some(Bytes::from_mib(64)));
        assert_eq!(amounts("cpus=1.5,mem=64MiB"), Ok(Amounts { cpus, mem, ..Amounts::default() }));
        assert_eq!(amounts("mem=64MiB, cpus=1.5"), Ok(Amounts { cpus, mem, ..Amounts::default() }));
        assert_eq!(amounts("disk=0"), Ok(Amounts { disk: Some(Bytes::ZERO), ..Amounts::default() }));
        for (wrong, why) in [
            ("", "is not of the form"),
            ("cpus", "is not of the form"),
            ("cpus=2,", "is not of the form"),
            ("cpu=2", "\"cpu\" is none of the resources cpus, mem and disk"),
            ("cpus=2,cpus=3", "cpus is named twice"),
            ("cpus=lots", "cpus: \"lots\" is not a number of cores"),
            ("mem=1GB", "mem: \"1GB\" is not a size"),
            ("gpu=1,gpu=2", "gpu is named twice"),
            ("gpu=one", "gpu: \"one\" is not a number like 2 or 0.5"),
            ("1gpu=1", "\"1gpu\" is no name of a resource"),
            ("ports=80", "ports are no amount"),
        ] {
            assert!(amounts(wrong).unwrap_err().contains(why), "{wrong}: {:?}", amounts(wrong));
        }
    }

    #[test]
    fn resources_of_an_operators_own_making_have_names_of_their_own() {
        let own: BTreeMap<String, u64> = [("gpu".to_owned(), 2000), ("licence".to_owned(), 500)].into();
        assert_eq!(scalars("gpu=2,licence=0.5"), Ok(own.clone()));
        assert_eq!(amounts("cpus=1,gpu=2,licence=0.5").unwrap().scalars, own);
        assert_eq!(amounts("gpu=0").unwrap().ceiling().scalars, [("gpu".to_owned(), 0)].into());
        for (wrong, why) in [("cpus=2", "--cpus"), ("gpu=1,mem=1GiB", "--mem"), ("gpu=0", "leave it out")] {
            assert!(scalars(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }
}
