//! Whether the volumes that a task is to mount can be had at all: what cannot is told before it waits.

use haggle_core::cluster::{VolumeStanding, VolumeView};
use haggle_sdk::Client;

use super::plan::Plan;
use crate::args::values::Mount;
use crate::error::CommandError;

/// # Errors
/// When one is not there, is another role's, or cannot be written.
pub(super) async fn check(client: &Client, plan: &Plan) -> Result<(), CommandError> {
    if plan.volumes.is_empty() {
        return Ok(());
    }
    let there = client.volumes().await?;
    plan.volumes.iter().try_for_each(|mount| {
        let known = there.iter().find(|volume| volume.id == mount.volume);
        check_one(mount, known, &plan.role, plan.gang && plan.count > 1)
            .map_err(|why| CommandError::Volume { volume: mount.volume, why: why.to_string() })
    })
}

/// Why a volume cannot be mounted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unmountable {
    #[error("no agent holds a volume of that id that you may use (`haggle volume ls` lists those)")]
    NotThere,
    #[error("its agent has come back without it (`haggle volume ls`)")]
    Missing,
    #[error("the registry knows nothing of it, though an agent holds a folder of that id")]
    Unknown,
    #[error("it is of the role {0}, and this runs in {1}: say --role {0}, or one below it")]
    OtherRole(String, String),
    #[error("it is shared, and can only be read: mount it as {0}:{1}:ro")]
    Shared(haggle_core::VolumeId, String),
    #[error(
        "one task at a time has it, and a gang wants it for all of its tasks at once: share it (`haggle volume share`)"
    )]
    OneAtATime,
}

fn check_one(mount: &Mount, known: Option<&VolumeView>, role: &str, at_once: bool) -> Result<(), Unmountable> {
    let view = known.ok_or(Unmountable::NotThere)?;
    let volume = view.known.as_ref().ok_or(Unmountable::Unknown)?;
    if view.standing == VolumeStanding::Missing {
        return Err(Unmountable::Missing);
    }
    if !volume.reservation.is_for(role) {
        return Err(Unmountable::OtherRole(volume.role().to_owned(), role.to_owned()));
    }
    match volume.shared {
        true if mount.writable => Err(Unmountable::Shared(mount.volume, mount.guest.clone())),
        false if at_once => Err(Unmountable::OneAtATime),
        true | false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, Bytes, Reservation, Volume, VolumeId};

    use super::*;

    #[test]
    fn what_cannot_be_mounted_is_told_with_what_to_do() {
        let id = VolumeId { agent: AgentId(1), number: 3 };
        let mount = Mount { volume: id, guest: "/data".to_owned(), writable: true };
        let volume = Volume {
            id,
            name: "data".to_owned(),
            reservation: Reservation::new("eng").unwrap(),
            size: Bytes::from_mib(1),
            shared: false,
            creator: "owner:owner".parse().unwrap(),
            made: true,
        };
        let ready = VolumeView {
            id,
            agent: id.agent,
            known: Some(volume.clone()),
            standing: VolumeStanding::Ready,
            user: None,
            users: 0,
            offers: 0,
        };
        let check = |view: &VolumeView, role| check_one(&mount, Some(view), role, false).map_err(|why| why.to_string());

        assert_eq!(check_one(&mount, None, "eng", false), Err(Unmountable::NotThere));
        assert_eq!((check(&ready, "eng"), check(&ready, "eng/batch")), (Ok(()), Ok(())));
        let other = "it is of the role eng, and this runs in web: say --role eng, or one below it";
        assert_eq!(check(&ready, "web").unwrap_err(), other);
        let away = VolumeView { standing: VolumeStanding::Away, ..ready.clone() };
        assert_eq!(check(&away, "eng"), Ok(()), "it may come back");
        assert_eq!(check_one(&mount, Some(&ready), "eng", true), Err(Unmountable::OneAtATime));
        let missing = VolumeView { standing: VolumeStanding::Missing, ..ready.clone() };
        assert!(check(&missing, "eng").unwrap_err().contains("without it"));
        let shared = VolumeView { known: Some(Volume { shared: true, ..volume }), ..ready };
        assert!(check(&shared, "eng").unwrap_err().ends_with("mount it as volume-1.3:/data:ro"));
    }
}
