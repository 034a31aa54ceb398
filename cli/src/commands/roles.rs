//! `haggle roles`.

use haggle_core::{Bytes, Ceiling, Placement, Resources};
use haggle_sdk::RoleInfo;

use super::Verdict;
use crate::args::values::{Amounts, Said};
use crate::args::{ListArgs, RolesArgs, RolesCommand, RolesSetArgs};
use crate::output::record::{self, ResourcesRecord, RoleRecord};
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: RolesArgs) -> Verdict {
    match args.command {
        Some(RolesCommand::Set(args)) => set(target, args).await,
        None => list(target, args.list).await,
    }
}

async fn set(target: &Target, args: RolesSetArgs) -> Verdict {
    let client = super::connect(target).await?;
    let (role, placement) = (&args.role, args.placement.map(|Said(placement)| placement));
    let least = args.min_allocatable.map(|Said(least)| least.map(Amounts::resources));
    if let Some(placement) = placement {
        client.set_placement(role, placement).await?;
    }
    if let Some(least) = &least {
        client.set_min_allocatable(role, least.as_ref()).await?;
    }
    if args.list.json {
        let mut said = serde_json::json!({ "name": role });
        if let Some(placement) = placement {
            said["placement"] = placement.map(Placement::name).into();
        }
        if let Some(least) = &least {
            said["min_allocatable"] = serde_json::json!(least.as_ref().map(ResourcesRecord::from));
        }
        output::json(&said)?;
        return Ok(0);
    }
    let placed = placement.map(|placement| match placement {
        Some(placement) => format!("{role} is placed by {placement}"),
        None => format!("{role} is placed as the role above it"),
    });
    let offered = least.map(|least| match least {
        Some(least) => format!("{role} is offered {} or more", at_least(&least)),
        None => format!("{role} is offered as little as the role above it"),
    });
    for line in placed.into_iter().chain(offered) {
        output::line(&output::printable(&line))?;
    }
    Ok(0)
}

async fn list(target: &Target, args: ListArgs) -> Verdict {
    let mut roles = super::connect(target).await?.roles().await?;
    in_order_of_the_tree(&mut roles);
    let records: Vec<RoleRecord> = roles.iter().map(record::role).collect();
    output::list(&records, args.json, || table(&roles))?;
    Ok(0)
}

/// Each role before those below it, and these before the next one beside it.
pub(super) fn in_order_of_the_tree(roles: &mut [RoleInfo]) {
    roles.sort_by(|one, other| one.name.split('/').cmp(other.name.split('/')));
}

fn table(roles: &[RoleInfo]) -> Table {
    let mut table = Table::new([
        "ROLE",
        ">WEIGHT",
        "GUARANTEE",
        "LIMIT",
        "USED",
        "OFFERED",
        "RESERVED",
        ">SHARE",
        ">FAIR",
        ">FRAMEWORKS",
        ">WAITING",
        "PLACED",
        "AT LEAST",
    ]);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for (role, label) in roles.iter().zip(labels(roles)) {
        let quota = role.quota.as_ref();
        table.row([
            label,
            role.weight.to_string(),
            quota.map_or_else(|| amounts(&Resources::default()), |quota| amounts(&quota.guarantee)),
            quota.map_or_else(|| bounds(&Ceiling::default()), |quota| bounds(&quota.limit)),
            amounts(&role.used),
            amounts(&role.offered),
            amounts(&role.reserved),
            percent(role.share),
            percent(role.fair_share),
            role.frameworks.to_string(),
            role.waiting.to_string(),
            role.placement.to_string(),
            role.min_allocatable.as_ref().map_or_else(|| "-".to_owned(), at_least),
        ]);
    }
    table
}

/// How each role is called in the tree: by what its path adds to that of the nearest role above it in the list, which has
/// an order of [`in_order_of_the_tree`].
fn labels(roles: &[RoleInfo]) -> Vec<String> {
    let mut above: Vec<&str> = Vec::new();
    let mut labels = Vec::new();
    for role in roles {
        let below = |above: &str| role.name.strip_prefix(above)?.strip_prefix('/');
        while above.last().is_some_and(|above| below(above).is_none()) {
            above.pop();
        }
        let own = above.last().and_then(|above| below(above)).unwrap_or(&role.name);
        labels.push(format!("{}{own}", "  ".repeat(above.len())));
        above.push(&role.name);
    }
    labels
}

/// The least that makes an offer, as it is typed.
fn at_least(least: &Resources) -> String {
    if least.is_empty() { "anything".to_owned() } else { amounts(least) }
}

/// Amounts as they are typed: `cpus=2,mem=1GiB`, and `-` for nothing.
pub(super) fn amounts(resources: &Resources) -> String {
    bounds(&Ceiling {
        cpus: Some(resources.cpus).filter(|cpus| !cpus.is_zero()),
        mem: Some(resources.mem).filter(|mem| !mem.is_zero()),
        disk: Some(resources.disk).filter(|disk| !disk.is_zero()),
        scalars: resources.scalars().map(|(name, amount)| (name.to_owned(), amount)).collect(),
    })
}

/// The same of what is bounded, where 0 is a bound.
pub(crate) fn bounds(ceiling: &Ceiling) -> String {
    let size =
        |name: &str, size: Option<Bytes>| size.map(|size| format!("{name}={}", size.to_string().replace(' ', "")));
    let cpus = ceiling.cpus.map(|cpus| format!("cpus={}", cpus.as_cores()));
    let plain = [cpus, size("mem", ceiling.mem), size("disk", ceiling.disk)].into_iter().flatten();
    let scalars = ceiling.scalars.iter().map(|(name, &amount)| format!("{name}={}", amount as f64 / 1000.0));
    let all: Vec<String> = plain.chain(scalars).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(",") }
}

#[cfg(test)]
mod tests {
    use haggle_core::{MilliCpu, Quota};

    use super::*;

    fn role(name: &str, quota: Option<Quota>) -> RoleInfo {
        RoleInfo {
            name: name.to_owned(),
            weight: 1,
            frameworks: 1,
            waiting: 0,
            used: Resources::new(MilliCpu::new(500), Bytes::from_mib(64), Bytes::ZERO),
            offered: Resources::default(),
            reserved: Resources::default(),
            share: 0.25,
            fair_share: 0.5,
            quota,
            placement: Placement::default(),
            min_allocatable: None,
        }
    }

    #[test]
    fn roles_are_a_tree_in_which_each_is_called_by_what_its_path_adds() {
        let limit = Ceiling { cpus: Some(MilliCpu::from_cores(4)), mem: Some(Bytes::ZERO), ..Ceiling::default() };
        let guarantee = Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(1024), Bytes::ZERO);
        let quota = Quota { guarantee, limit };
        let names = ["eng-x", "ops/night/a", "eng/batch", "eng", "eng/batch/a"];
        let mut roles: Vec<_> = names.into_iter().map(|name| role(name, None)).collect();
        roles[3].quota = Some(quota);

        in_order_of_the_tree(&mut roles);

        assert_eq!(labels(&roles), ["eng", "  batch", "    a", "eng-x", "ops/night/a"]);
        let lines: Vec<_> = table(&roles).to_string().lines().map(str::to_owned).collect();
        assert!(lines[1].contains("cpus=2,mem=1GiB  cpus=4,mem=0B  cpus=0.5,mem=64MiB  -"), "{}", lines[1]);
        assert!(lines[2].starts_with("  batch ") && lines[3].starts_with("    a "), "{lines:?}");
        assert!(lines[2].contains("25.0 %  50.0 %"), "{}", lines[2]);
    }
}
