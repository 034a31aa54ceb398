//! `haggle volume`.

use haggle_core::cluster::VolumeView;

use super::Verdict;
use crate::args::{VolumeArgs, VolumeCommand, VolumeCreateArgs, VolumeLsArgs, VolumeRmArgs, VolumeShareArgs};
use crate::error::CommandError;
use crate::output::record::VolumeRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: VolumeArgs) -> Verdict {
    match args.command {
        VolumeCommand::Create(args) => create(target, args).await,
        VolumeCommand::Ls(args) => list(target, args).await,
        VolumeCommand::Share(args) => share(target, args).await,
        VolumeCommand::Rm(args) => remove(target, args).await,
    }
}

async fn create(target: &Target, args: VolumeCreateArgs) -> Verdict {
    let VolumeCreateArgs { agent, role, name, size, list } = args;
    let volume = super::connect(target).await?.create_volume(agent, &role, &name, size).await?;
    let made = serde_json::json!({
        "id": volume.to_string(),
        "agent": agent.to_string(),
        "role": role,
        "name": name,
        "size_bytes": size.get(),
    });
    output::said(list.json, &made, &format!("{volume}: {size} of {agent} for {role}, called {name:?}"))?;
    Ok(0)
}

async fn list(target: &Target, VolumeLsArgs { list }: VolumeLsArgs) -> Verdict {
    let mut volumes = super::connect(target).await?.volumes().await?;
    volumes.sort_by_key(|volume| (volume.agent, volume.id));
    let records: Vec<VolumeRecord> = volumes.iter().map(Into::into).collect();
    output::list(&records, list.json, || table(&volumes))?;
    Ok(0)
}

async fn share(target: &Target, VolumeShareArgs { volume, off, list }: VolumeShareArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.share_volume(volume, !off).await.map_err(super::unknown_as(CommandError::NoSuchVolume(volume)))?;
    let now =
        if off { "is used by one task at a time" } else { "is shared: any number of tasks read it, none writes it" };
    let record = serde_json::json!({ "id": volume.to_string(), "shared": !off });
    output::said(list.json, &record, &format!("{volume} {now}"))?;
    Ok(0)
}

async fn remove(target: &Target, VolumeRmArgs { volume, list }: VolumeRmArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.destroy_volume(volume).await.map_err(super::unknown_as(CommandError::NoSuchVolume(volume)))?;
    output::said(
        list.json,
        &serde_json::json!({ "id": volume.to_string(), "removed": true }),
        &format!("{volume} is removed, with all that was in it"),
    )?;
    Ok(0)
}

fn table(volumes: &[VolumeView]) -> Table {
    let mut table = Table::new(["VOLUME", "NAME", "ROLE", "AGENT", ">SIZE", "USE", "STATE", "USED BY"]);
    for volume in volumes {
        let known = volume.known.as_ref();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let used_by = match (volume.user, volume.users, volume.offers) {
            (Some(task), 1, _) => task.to_string(),
            (Some(_), many, _) => format!("{many} tasks"),
            (None, _, 0) => String::new(),
            (None, ..) => "offered".to_owned(),
        };
        table.row([
            volume.id.to_string(),
            text(known.map(|known| known.name.as_str())),
            text(known.map(haggle_core::Volume::role)),
            volume.agent.to_string(),
            known.map(|known| known.size.to_string()).unwrap_or_default(),
            text(known.map(|known| if known.shared { "shared" } else { "one at a time" })),
            output::volume_state(volume.standing).to_owned(),
            used_by,
        ]);
    }
    table
}
