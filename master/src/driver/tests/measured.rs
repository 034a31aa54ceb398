//! What a driver counts and measures of itself.

use haggle_core::UpdateId;
use haggle_core::cluster::Acknowledgement;

use super::*;

#[tokio::test]
async fn what_is_said_is_counted_by_its_kind_and_apart_when_it_is_refused() {
    let (mut driven, _agent, _framework, offer) = Driven::with_peers().await;
    let update = |number| Acknowledgement {
        task: TaskId { framework: FrameworkId(1), number },
        update: UpdateId(1),
        agent: Some(AgentId(1)),
    };
    let elsewhere = call(FrameworkCommand::Revive { role: Some("elsewhere".to_owned()) });

    let acknowledge = call(FrameworkCommand::Acknowledge((0..3).map(update).collect()));
    driven.step(said(FRAMEWORK, vec![accept(&offer, 0..3, 0), acknowledge, elsewhere])).await.unwrap();
    driven.step(beat()).await.unwrap();

    let commands = driven.driver.timings.get().commands;
    let known = CommandKind::ALL.iter().map(|&kind| (kind.name(), commands.heard(kind), commands.refused(kind)));
    let known: Vec<_> = known.filter(|&(_, heard, _)| heard > 0).collect();
    let expected =
        [("register_agent", 1, 0), ("subscribe", 1, 0), ("launch", 1, 0), ("revive", 1, 1), ("acknowledge", 3, 0)];
    assert_eq!(known, expected);
}

#[tokio::test]
async fn what_is_offered_has_waited_since_the_first_of_a_batch_was_taken() {
    let mut driven = Driven::new();
    let before = Duration::from_secs(5);
    driven.start = driven.start.checked_sub(before).unwrap();

    driven.step(Batch::default()).await.unwrap();

    let measured = driven.driver.timings.get();
    assert_eq!((measured.waits.count(), measured.allocations.count()), (1, 1));
    assert!(measured.waits.sum() >= before, "{:?}", measured.waits);
}
