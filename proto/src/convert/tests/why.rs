//! Why somebody waits, over the wire.

use haggle_core::allocator::{Ahead, Hindrance, Lacking, Obstacle, Withheld};
use haggle_core::cluster::{AheadView, Why};
use haggle_core::resources::Share;

use super::*;

#[test]
fn an_answer_to_why_survives_the_wire() {
    let obstacles = [
        Obstacle::NotConnected,
        Obstacle::Suppressed,
        Obstacle::WantsNothing,
        Obstacle::NoAgent,
        Obstacle::AtLimit { role: "eng".into(), limit: ceiling(), has: resources() },
        Obstacle::KeptForOthers { kept: resources() },
        Obstacle::NoVolume(VOLUME),
        Obstacle::VolumeInUse(VOLUME),
        Obstacle::Withheld(Withheld::Deactivated),
        Obstacle::Withheld(Withheld::Draining),
        Obstacle::Withheld(Withheld::Drained),
        Obstacle::Withheld(Withheld::Leaving),
        Obstacle::Constraint(constraint("os", Test::Equals("linux".into()))),
        Obstacle::TooLarge { largest: resources() },
        Obstacle::Reserved { reserved: resources() },
        Obstacle::NotUnused { most: MilliCpu::new(30) },
        Obstacle::InUse { free: resources() },
        Obstacle::Offered { to: Some(FrameworkId(9)), age: Duration::from_secs(3) },
        Obstacle::Offered { to: None, age: Duration::from_secs(3) },
        Obstacle::Gang { tasks: 3, fit: 2 },
        Obstacle::Refused { lasts: Duration::from_secs(4) },
    ];
    let nearest = [resources(), Resources::default()].map(|lacks| Lacking { agent: AgentId(4), lacks });
    let hindrances = obstacles.map(|obstacle| Hindrance {
        obstacle,
        want: Some(resources()),
        agents: 2,
        nearest: nearest.to_vec(),
        age: Some(Duration::from_secs(1)),
    });
    let ahead = Ahead {
        framework: FrameworkId(4),
        role: "eng/batch".into(),
        under: "eng".into(),
        share: Share::new(1, 8),
        than: Share::new(3, 8),
    };
    let why = Why {
        framework: FrameworkId(3),
        name: "f".into(),
        role: "eng/batch".into(),
        roles: vec!["eng".into(), "eng/batch".into()],
        waits_for: Some(Duration::from_secs(12)),
        offers: 1,
        rank: Some(2),
        ranked: 5,
        ahead: vec![AheadView { name: "other".into(), ahead }],
        hindrances: hindrances.into(),
    };
    let content = Why { waits_for: None, rank: None, ahead: Vec::new(), hindrances: Vec::new(), ..why.clone() };

    for told in [why, content] {
        assert_eq!(Why::try_from(v1::WhyResponse::from(told.clone())), Ok(told));
    }
}

#[test]
fn a_hindrance_without_an_obstacle_is_malformed() {
    let wire = v1::WhyResponse { hindrances: vec![v1::Hindrance::default()], ..Default::default() };

    assert_eq!(Why::try_from(wire), Err(Malformed::Missing("obstacle of a hindrance")));
}
