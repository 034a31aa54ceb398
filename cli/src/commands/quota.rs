//! `haggle quota`.

use haggle_core::{Quota, Resources};
use haggle_sdk::RoleInfo;

use super::Verdict;
use super::roles::{amounts, bounds, in_order_of_the_tree};
use crate::args::values::Amounts;
use crate::args::{ListArgs, QuotaArgs, QuotaCommand, QuotaRmArgs, QuotaSetArgs};
use crate::error::CommandError;
use crate::output::record::{self, QuotaRecord, RoleRecord};
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: QuotaArgs) -> Verdict {
    match args.command {
        QuotaCommand::Set(args) => set(target, args).await,
        QuotaCommand::Rm(args) => remove(target, args).await,
        QuotaCommand::Ls(args) => list(target, args).await,
    }
}

async fn set(target: &Target, args: QuotaSetArgs) -> Verdict {
    let quota = quota(args.guarantee, args.limit);
    let client = super::connect(target).await?;
    client.set_quota(&args.role, Some(&quota), args.force).await?;
    output::said(
        args.list.json,
        &serde_json::json!({ "name": args.role, "quota": QuotaRecord::from(&quota) }),
        &format!("{} {}", args.role, in_words(&quota)),
    )?;
    Ok(0)
}

fn quota(guarantee: Option<Amounts>, limit: Option<Amounts>) -> Quota {
    Quota { guarantee: guarantee.unwrap_or_default().resources(), limit: limit.unwrap_or_default().ceiling() }
}

/// `is promised cpus=2, and may have cpus=4 at most`.
fn in_words(Quota { guarantee, limit }: &Quota) -> String {
    let promised = match guarantee {
        nothing if *nothing == Resources::default() => "nothing".to_owned(),
        guarantee => amounts(guarantee),
    };
    let most = if limit.is_unbounded() { "whatever there is".to_owned() } else { format!("{} at most", bounds(limit)) };
    format!("is promised {promised}, and may have {most}")
}

async fn remove(target: &Target, args: QuotaRmArgs) -> Verdict {
    let client = super::connect(target).await?;
    let has_one = |role: &RoleInfo| role.name == args.role && role.quota.is_some();
    if !client.roles().await?.iter().any(has_one) {
        return Err(CommandError::NoQuota(args.role));
    }
    client.set_quota(&args.role, None, false).await?;
    output::said(
        args.list.json,
        &serde_json::json!({ "name": args.role, "quota": null }),
        &format!("{} has no quota any more", args.role),
    )?;
    Ok(0)
}

async fn list(target: &Target, args: ListArgs) -> Verdict {
    let mut roles = super::connect(target).await?.roles().await?;
    roles.retain(|role| role.quota.is_some());
    in_order_of_the_tree(&mut roles);
    let records: Vec<RoleRecord> = roles.iter().map(record::role).collect();
    output::list(&records, args.json, || table(&roles))?;
    Ok(0)
}

fn table(roles: &[RoleInfo]) -> Table {
    let mut table = Table::new(["ROLE", "GUARANTEE", "LIMIT", "USED", "OFFERED"]);
    for role in roles {
        let Some(quota) = &role.quota else { continue };
        table.row([
            role.name.clone(),
            amounts(&quota.guarantee),
            bounds(&quota.limit),
            amounts(&role.used),
            amounts(&role.offered),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use haggle_core::{Bytes, MilliCpu};

    use super::*;

    #[test]
    fn what_is_not_named_is_not_promised_and_not_limited() {
        let cpus = Amounts { cpus: Some(MilliCpu::from_cores(2)), ..Amounts::default() };
        let no_mem = Amounts { mem: Some(Bytes::ZERO), ..Amounts::default() };

        assert_eq!(in_words(&quota(Some(cpus), None)), "is promised cpus=2, and may have whatever there is");
        assert_eq!(in_words(&quota(None, Some(no_mem))), "is promised nothing, and may have mem=0B at most");
    }
}
