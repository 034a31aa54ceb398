//! What happens, as a stream: to each watcher what it may see.

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use haggle_core::access::{Principal, Verb};
use haggle_proto::v1;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tonic::Status;

use crate::happenings::Happening;

/// Everything that happens from now on and that `who` may see. The place is held until the end.
pub(super) fn watch(
    happenings: broadcast::Receiver<Happening>,
    place: OwnedSemaphorePermit,
    who: Principal,
) -> BoxStream<'static, Result<v1::WatchEvent, Status>> {
    try_unfold((happenings, who, place), |(mut happenings, who, place)| async {
        loop {
            match happenings.recv().await {
                Ok(happening) if sees(&who, &happening) => {
                    let Happening { time_ms, what, .. } = happening;
                    return Ok(Some((v1::WatchEvent { time_ms, event: Some(what.into()) }, (happenings, who, place))));
                }
                Ok(_) => {}
                Err(RecvError::Closed) => return Ok(None),
                Err(RecvError::Lagged(missed)) => {
                    return Err(Status::resource_exhausted(format!("cut off: fell behind by {missed} events")));
                }
            }
        }
    })
    .boxed()
}

/// What is of no tenant, as agents are, is for those who see everything.
fn sees(who: &Principal, happening: &Happening) -> bool {
    match &happening.tenant {
        Some(tenant) => who.may(Verb::Watch, tenant),
        None => who.may_all(Verb::Watch),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use haggle_core::access::{Kind, Roles, Tenant};
    use haggle_core::cluster::Announcement;
    use haggle_core::{AgentId, FrameworkId};
    use tonic::Code;

    use super::*;
    use crate::limits::{House, Places};

    fn place() -> OwnedSemaphorePermit {
        House::new(Places::default(), usize::MAX).watch().unwrap()
    }

    fn of_agent(id: u64) -> Happening {
        Happening { time_ms: 0, what: Announcement::AgentUp(AgentId(id)), tenant: None }
    }

    fn of_framework(id: u64, principal: &str, role: &str) -> Happening {
        let tenant = Tenant::new(Arc::new(principal.parse().unwrap()), [role.into()]);
        Happening { time_ms: 0, what: Announcement::FrameworkUp(FrameworkId(id)), tenant: Some(Arc::new(tenant)) }
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_cut_off() {
        let (happenings, watched) = broadcast::channel(2);
        for id in 0..3 {
            happenings.send(of_agent(id)).unwrap();
        }

        let mut events = watch(watched, place(), Principal::owner());

        assert_eq!(events.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn a_watcher_hears_of_its_own_alone() {
        let of = |name: &str, kind| Principal { name: name.into(), kind, token: None };
        let eng = Roles::parse(&["eng/*"]).unwrap();
        let seen = |who: Principal| async {
            let (happenings, watched) = broadcast::channel(8);
            for happening in
                [of_agent(1), of_framework(2, "framework:ci", "eng/a"), of_framework(3, "operator:ci", "ops")]
            {
                happenings.send(happening).unwrap();
            }
            drop(happenings);
            watch(watched, place(), who).map(|event| event.unwrap().event.unwrap()).collect::<Vec<_>>().await
        };
        use v1::watch_event::Event::{AgentUp, FrameworkUp};

        assert_eq!(seen(Principal::owner()).await, [AgentUp(1), FrameworkUp(2), FrameworkUp(3)]);
        assert_eq!(seen(of("ada", Kind::Operator)).await, [AgentUp(1), FrameworkUp(2), FrameworkUp(3)]);
        assert_eq!(seen(of("ci", Kind::Framework(Roles::every()))).await, [FrameworkUp(2)]);
        assert_eq!(seen(of("eye", Kind::Viewer(eng))).await, [FrameworkUp(2)]);
        assert_eq!(seen(Principal::agent(AgentId(1))).await, []);
    }
}
