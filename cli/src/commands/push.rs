//! `haggle push`.

use haggle_executor::inspect::{self, Kind};
use haggle_sources::{Contents, Source, Sources};

use super::Verdict;
use crate::args::PushArgs;
use crate::error::CommandError;
use crate::module::{self, Module};
use crate::output;
use crate::sources::{self, FetchError};

pub(super) async fn run(args: PushArgs) -> Verdict {
    let bytes = match module::find(&args.module, args.bin.as_deref(), args.list.json)? {
        Module::Bytes { bytes, .. } => bytes,
        Module::Remote(source) => sources::fetch(&source).await?.0,
        Module::Stored(digest) => return Err(module::ModuleError::NotHere(digest).into()),
    };
    // Nobody shall find there what no one can run.
    let found =
        inspect::inspect(&bytes).map_err(|source| CommandError::NotAModule { name: args.module.clone(), source })?;
    let contents =
        Contents { is_component: found.kind == Kind::Component, imports: found.imports, exports: found.exports };
    let target = Source::Oci(args.target.clone());
    let sources = Sources::new(sources::settings_for([&target])?).map_err(FetchError::from)?;
    let pushed = sources.push(&args.target, bytes, &contents).await.map_err(|error| sources::of(&target, error))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "digest": pushed.digest.to_string(), "pinned": pushed.pinned }),
        &format!("{}  {}", pushed.digest, pushed.pinned),
    )?;
    Ok(0)
}
