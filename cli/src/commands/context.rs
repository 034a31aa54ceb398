//! `haggle context`.

use super::Verdict;
use crate::args::{ContextArgs, ContextCommand, ForgetArgs, ListArgs, UseArgs};
use crate::contexts::{self, Contexts};
use crate::output::record::ContextRecord;
use crate::output::{self, Table};
use crate::target;

pub(super) fn run(args: ContextArgs) -> Verdict {
    match args.command {
        ContextCommand::Ls(args) => list(&args),
        ContextCommand::Use(args) => choose(args),
        ContextCommand::Rm(args) => forget(&args),
    }
}

fn list(args: &ListArgs) -> Verdict {
    let contexts = target::stored_contexts()?;
    let current = contexts.current.as_deref();
    let named = contexts.named.iter();
    let records: Vec<_> = named.map(|(name, context)| ContextRecord::new(name, context, current)).collect();
    output::list(&records, args.json, || table(&contexts))?;
    Ok(0)
}

fn table(contexts: &Contexts) -> Table {
    let mut table = Table::new(["CONTEXT", "", "KIND", "MASTER", "CLUSTER", "EXPIRES"]);
    for (name, context) in &contexts.named {
        let is_current = contexts.current.as_ref() == Some(name);
        table.row([
            name.clone(),
            if is_current { "current".into() } else { String::new() },
            context.token.kind.to_string(),
            context.master.clone().unwrap_or_else(|| context.token.addresses.join(",")),
            context.token.cluster.to_string(),
            output::time(context.token.expires),
        ]);
    }
    table
}

fn choose(args: UseArgs) -> Verdict {
    let chosen = Contexts::change(&contexts::file()?, |contexts| match &args.name {
        Some(name) => contexts.choose(name),
        None => {
            contexts.current = None;
            Ok(())
        }
    });
    chosen?;
    match args.name {
        name if args.list.json => output::json(&serde_json::json!({ "current": name }))?,
        Some(name) => output::line(&format!("{name} is the current context"))?,
        None => output::line("no context is the current one: commands ask this machine's own master")?,
    }
    Ok(0)
}

fn forget(args: &ForgetArgs) -> Verdict {
    Contexts::change(&contexts::file()?, |contexts| contexts.remove(&args.name))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "context": args.name, "removed": true }),
        &format!("the context {} is forgotten; its token stays good until it is revoked", args.name),
    )?;
    Ok(0)
}
