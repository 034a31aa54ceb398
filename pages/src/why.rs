//! Why somebody waits, in words.

use std::time::Duration;

use haggle_core::Resources;
use haggle_core::allocator::{Ahead, Hindrance, Lacking, Obstacle, Withheld};
use haggle_core::cluster::{AheadView, Why};
use haggle_core::resources::Share;

/// What a framework wants, and [`reasons`] why it has not got it.
pub fn lines(why: &Why) -> Vec<String> {
    let mut lines = vec![headline(why)];
    lines.extend(reasons(why).into_iter().map(|line| format!("  {line}")));
    lines
}

/// A line for each one that is ahead, and for each thing that is in the way. Below a line about tasks of one size, those that are
/// about them are indented.
pub fn reasons(why: &Why) -> Vec<String> {
    let mut lines: Vec<String> = why.ahead.iter().map(|ahead| ahead_in_words(ahead, &why.role)).collect();
    let more = why.rank.map_or(0, |rank| rank.saturating_sub(1)).saturating_sub(lines.len());
    // How many there are the headline says.
    if why.waits_for.is_some() && more > 0 && !lines.is_empty() {
        lines.push(format!("{more} more {} ahead of it", if more == 1 { "is" } else { "are" }));
    }
    lines.extend(hindrances(&why.hindrances));
    lines
}

/// One that is served before a framework in this role.
pub fn ahead_in_words(AheadView { name, ahead }: &AheadView, of: &str) -> String {
    let Ahead { framework, role, under, share, than } = ahead;
    let (first, second) = match (role == under, of == under) {
        (true, true) => ("it".to_owned(), "this one".to_owned()),
        _ => (branch(role, under), branch(of, under)),
    };
    let why = match share == than {
        true => format!("{first} and {second} have {} each, and its turn is first", percent(*share)),
        false => format!("{first} has {}, {second} {}", percent(*share), percent(*than)),
    };
    format!("{framework} ({name:?}, role {role}) is ahead of it: {why}")
}

/// By what somebody in a role competes under one above, or in that itself.
fn branch(role: &str, under: &str) -> String {
    let Some(below) = role.strip_prefix(under).filter(|below| !below.is_empty()) else {
        return format!("whoever is in {under} itself");
    };
    let below = below.trim_start_matches('/');
    let end = role.len() - below.len() + below.find('/').unwrap_or(below.len());
    role[..end].to_owned()
}

/// A share of the cluster.
fn percent(share: Share) -> String {
    let tenths = share.as_millionths() / 1000;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A line for each thing that is in the way.
fn hindrances(hindrances: &[Hindrance]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut about: Option<&Resources> = None;
    for hindrance in hindrances {
        if hindrance.want.as_ref() != about {
            about = hindrance.want.as_ref();
            let its = || hindrances.iter().filter(|hindrance| hindrance.want.as_ref() == about);
            let all = |is: fn(&Obstacle) -> bool| its().all(|hindrance| is(&hindrance.obstacle));
            let sum = if all(|obstacle| matches!(obstacle, Obstacle::TooLarge { .. })) {
                " no agent is large enough"
            } else if all(|obstacle| matches!(obstacle, Obstacle::Constraint(_))) {
                " the constraints leave no agent"
            } else {
                ""
            };
            lines.extend(about.map(|want| format!("for a task of {want}{sum}:")));
        }
        let indent = if about.is_some() { "  " } else { "" };
        lines.push(format!("{indent}{}", hindrance_in_words(hindrance)));
    }
    lines
}

/// Who waits for how long, with how many offers.
pub fn headline(why: &Why) -> String {
    let who = format!("{} ({:?}, role {})", why.framework, why.name, why.role);
    let offers = match why.offers {
        0 => String::new(),
        1 => ", and has 1 offer".to_owned(),
        many => format!(", and has {many} offers"),
    };
    let Some(waited) = why.waits_for else { return format!("{who} waits for nothing{offers}") };
    let rank = match why.rank {
        Some(rank) => format!("; by fair share it is number {rank} of {} that want something", why.ranked),
        None => String::new(),
    };
    format!("{who} waits for {}{offers}{rank}", span(waited))
}

/// One thing that is in the way, and some of the agents on which it is.
pub fn hindrance_in_words(hindrance: &Hindrance) -> String {
    let mut text = obstacle_in_words(hindrance);
    if let Some(age) = hindrance.age {
        text += &format!(", for {} now", span(age));
    }
    let mut named: Vec<String> = hindrance.nearest.iter().map(lacking_in_words).collect();
    let more = hindrance.agents.saturating_sub(named.len());
    if more > 0 && !named.is_empty() {
        named.push(format!("{more} more"));
    }
    if !named.is_empty() {
        text += &format!(" [{}]", named.join("; "));
    }
    text
}

/// An agent, and what it lacks.
fn lacking_in_words(Lacking { agent, lacks }: &Lacking) -> String {
    match lacks.is_empty() {
        true => agent.to_string(),
        false => format!("{agent} lacks {}", amounts(lacks)),
    }
}

/// Amounts of which there is some, as [`Resources`] are written.
fn amounts(lacks: &Resources) -> String {
    let text = lacks.to_string();
    let is_nothing = |part: &&str| *part != "0.000 cpu" && *part != "0 B mem";
    text.split(", ").filter(is_nothing).collect::<Vec<_>>().join(", ")
}

fn obstacle_in_words(hindrance: &Hindrance) -> String {
    let count = hindrance.agents;
    let agents = if count == 1 { "1 agent".to_owned() } else { format!("{count} agents") };
    let is = if count == 1 { "is" } else { "are" };
    match &hindrance.obstacle {
        Obstacle::NotConnected => "it is not connected".to_owned(),
        Obstacle::Suppressed => "it asked for no offers".to_owned(),
        Obstacle::WantsNothing => "it said that it wants nothing".to_owned(),
        Obstacle::NoAgent => "no agent takes tasks".to_owned(),
        Obstacle::AtLimit { role, limit, has } => {
            format!("the role {role} is at its limit: it may have {limit}, and has {has}")
        }
        Obstacle::KeptForOthers { kept } => {
            format!("{agents}: what is free is kept for what other roles are promised ({kept})")
        }
        Obstacle::Withheld(Withheld::Deactivated) => format!("{agents} would do, and {is} deactivated"),
        Obstacle::Withheld(Withheld::Draining) => format!("{agents} would do, and {is} being drained"),
        Obstacle::Withheld(Withheld::Drained) => {
            format!("{agents} would do, and {is} drained, by an operator or for maintenance")
        }
        Obstacle::Withheld(Withheld::Leaving) if count == 1 => format!("{agents} would do, and leaves"),
        Obstacle::Withheld(Withheld::Leaving) => format!("{agents} would do, and leave"),
        Obstacle::Constraint(constraint) => format!("{agents}: {}", constraint.unmet()),
        Obstacle::NoVolume(volume) => {
            let hold = if count == 1 { "does" } else { "do" };
            format!("{agents} {hold} not hold {volume} for its role")
        }
        Obstacle::VolumeInUse(volume) => {
            format!("{agents}: {volume} is there, and a task or an offer has it (`haggle volume ls`)")
        }
        Obstacle::TooLarge { largest } => {
            format!("{agents} {is} too small, were nothing else there: the nearest has {largest}")
        }
        Obstacle::Reserved { reserved } => {
            format!("{agents}: what it would need there is reserved for other roles (at most {reserved})")
        }
        Obstacle::NotUnused { most } => {
            format!(
                "{agents}: tasks there leave no more than {most} unused of what they hold (haggle agent --oversubscribe)"
            )
        }
        Obstacle::InUse { free } => {
            format!("{agents} {is} large enough, and tasks run there (at most {free} is free)")
        }
        Obstacle::Offered { to, age } => {
            let to = to.map_or_else(|| "somebody".to_owned(), |to| to.to_string());
            format!("{agents}: what is free is offered to {to}, which has not answered for {}", span(*age))
        }
        Obstacle::Gang { tasks, fit } => {
            format!("all {tasks} tasks want room at once, and now there is room for {fit}")
        }
        Obstacle::Refused { lasts } => {
            format!("{agents}: it declined what is free, and is asked again within {}", span(*lasts))
        }
    }
}

/// A time as people say it, in the largest unit of which there are two or more.
pub fn span(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds < 2 * MINUTE => format!("{seconds} s"),
        seconds if seconds < 2 * HOUR => format!("{} min", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, Bytes, Ceiling, Constraint, FrameworkId, MilliCpu, Test, VolumeId};

    use super::*;

    fn cpus(milli: u64) -> Resources {
        Resources::new(MilliCpu::new(milli), Bytes::ZERO, Bytes::ZERO)
    }

    fn hindrance(obstacle: Obstacle, want: Option<Resources>, agents: usize) -> Hindrance {
        Hindrance { obstacle, want, agents, nearest: Vec::new(), age: None }
    }

    fn why(hindrances: Vec<Hindrance>) -> Why {
        Why {
            framework: FrameworkId(3),
            name: "haggle run primes".into(),
            role: "eng/batch".into(),
            roles: vec!["eng/batch".into()],
            waits_for: Some(Duration::from_millis(12_400)),
            offers: 0,
            rank: Some(2),
            ranked: 5,
            ahead: Vec::new(),
            hindrances,
        }
    }

    #[test]
    fn each_thing_in_the_way_is_a_line_below_the_tasks_that_it_is_about() {
        let windows = Constraint { attribute: "os".into(), test: Test::Equals("windows".into()) };
        let (small, large) = (Some(cpus(500)), Some(cpus(8000)));

        let lines = lines(&why(vec![
            hindrance(Obstacle::InUse { free: cpus(250) }, small.clone(), 3),
            hindrance(Obstacle::Constraint(windows), small, 2),
            hindrance(Obstacle::TooLarge { largest: cpus(2000) }, large, 1),
        ]));

        assert_eq!(
            lines,
            [
                "framework-3 (\"haggle run primes\", role eng/batch) waits for 12 s; by fair share it is number 2 of 5 that \
                 want something",
                "  for a task of 0.500 cpu, 0 B mem:",
                "    3 agents are large enough, and tasks run there (at most 0.250 cpu, 0 B mem is free)",
                "    2 agents: os = windows is not met",
                "  for a task of 8.000 cpu, 0 B mem no agent is large enough:",
                "    1 agent is too small, were nothing else there: the nearest has 2.000 cpu, 0 B mem",
            ]
        );
    }

    #[test]
    fn whoever_wants_nothing_is_said_to() {
        let nothing = hindrance(Obstacle::WantsNothing, None, 0);
        let why = Why { waits_for: None, rank: None, offers: 2, ..why(vec![nothing]) };

        let who = "framework-3 (\"haggle run primes\", role eng/batch)";
        assert_eq!(
            lines(&why),
            [format!("{who} waits for nothing, and has 2 offers"), "  it said that it wants nothing".to_owned()]
        );
    }

    #[test]
    fn whoever_is_ahead_has_a_line_with_what_is_compared() {
        let ahead = |role: &str, under: &str, share, than| {
            let (share, than) = (Share::new(share, 8), Share::new(than, 8));
            let ahead = Ahead { framework: FrameworkId(4), role: role.into(), under: under.into(), share, than };
            AheadView { name: "ci".into(), ahead }
        };
        let of_each = vec![
            ahead("web/a/b", "", 1, 4),
            ahead("eng/ops/x", "eng", 1, 4),
            ahead("eng", "eng", 1, 4),
            ahead("eng/batch", "eng/batch", 1, 3),
            ahead("eng/batch", "eng/batch", 2, 2),
        ];
        let why = Why { ahead: of_each, rank: Some(8), ..why(Vec::new()) };

        assert_eq!(
            reasons(&why),
            [
                "framework-4 (\"ci\", role web/a/b) is ahead of it: web has 12.5 %, eng 50.0 %",
                "framework-4 (\"ci\", role eng/ops/x) is ahead of it: eng/ops has 12.5 %, eng/batch 50.0 %",
                "framework-4 (\"ci\", role eng) is ahead of it: whoever is in eng itself has 12.5 %, eng/batch 50.0 %",
                "framework-4 (\"ci\", role eng/batch) is ahead of it: it has 12.5 %, this one 37.5 %",
                "framework-4 (\"ci\", role eng/batch) is ahead of it: it and this one have 25.0 % each, and its turn is first",
                "2 more are ahead of it",
            ]
        );
    }

    #[test]
    fn agents_that_are_near_are_named_with_what_they_lack_and_how_many_more_there_are() {
        let lacking = |id, lacks| Lacking { agent: AgentId(id), lacks };
        let mem = Resources::new(MilliCpu::ZERO, Bytes::from_mib(64), Bytes::from_mib(1));
        let near = vec![lacking(2, cpus(500)), lacking(9, mem)];
        let large =
            Hindrance { nearest: near, ..hindrance(Obstacle::TooLarge { largest: cpus(1500) }, Some(cpus(2000)), 4) };
        let zone = Constraint { attribute: "zone".into(), test: Test::Equals("b".into()) };
        let zone = Hindrance {
            nearest: vec![lacking(3, Resources::default())],
            ..hindrance(Obstacle::Constraint(zone), Some(cpus(1000)), 1)
        };

        assert_eq!(
            reasons(&why(vec![large, zone])),
            [
                "for a task of 2.000 cpu, 0 B mem no agent is large enough:",
                "  4 agents are too small, were nothing else there: the nearest has 1.500 cpu, 0 B mem [agent-2 lacks 0.500 \
                 cpu; agent-9 lacks 64 MiB mem, 1 MiB disk; 2 more]",
                "for a task of 1.000 cpu, 0 B mem the constraints leave no agent:",
                "  1 agent: zone = b is not met [agent-3]",
            ]
        );
    }

    #[test]
    fn what_a_framework_asked_for_itself_says_since_when() {
        let age = Some(Duration::from_secs(12));
        let rest = Hindrance { age, ..hindrance(Obstacle::Suppressed, None, 0) };

        assert_eq!(hindrance_in_words(&rest), "it asked for no offers, for 12 s now");
    }

    #[test]
    fn every_obstacle_is_a_sentence() {
        let limit = Ceiling { cpus: Some(MilliCpu::from_cores(2)), ..Ceiling::default() };
        let said = |obstacle, agents| hindrance_in_words(&hindrance(obstacle, None, agents));

        assert_eq!(
            said(Obstacle::AtLimit { role: "eng".into(), limit, has: cpus(2000) }, 0),
            "the role eng is at its limit: it may have 2.000 cpu, and has 2.000 cpu, 0 B mem"
        );
        assert_eq!(
            said(Obstacle::KeptForOthers { kept: cpus(1500) }, 1),
            "1 agent: what is free is kept for what other roles are promised (1.500 cpu, 0 B mem)"
        );
        assert_eq!(
            said(Obstacle::Offered { to: Some(FrameworkId(4)), age: Duration::from_secs(3) }, 2),
            "2 agents: what is free is offered to framework-4, which has not answered for 3 s"
        );
        assert_eq!(
            said(Obstacle::Offered { to: None, age: Duration::from_secs(3) }, 1),
            "1 agent: what is free is offered to somebody, which has not answered for 3 s"
        );
        assert_eq!(
            said(Obstacle::Refused { lasts: Duration::from_secs(300) }, 2),
            "2 agents: it declined what is free, and is asked again within 5 min"
        );
        assert_eq!(
            said(Obstacle::Gang { tasks: 3, fit: 2 }, 0),
            "all 3 tasks want room at once, and now there is room for 2"
        );
        assert_eq!(said(Obstacle::Withheld(Withheld::Deactivated), 1), "1 agent would do, and is deactivated");
        assert_eq!(said(Obstacle::Withheld(Withheld::Leaving), 2), "2 agents would do, and leave");
        let volume = VolumeId { agent: AgentId(1), number: 3 };
        assert_eq!(said(Obstacle::NoVolume(volume), 2), "2 agents do not hold volume-1.3 for its role");
        assert_eq!(
            said(Obstacle::VolumeInUse(volume), 1),
            "1 agent: volume-1.3 is there, and a task or an offer has it (`haggle volume ls`)"
        );
        assert_eq!(said(Obstacle::NoAgent, 0), "no agent takes tasks");
        assert_eq!(said(Obstacle::NotConnected, 0), "it is not connected");
        assert_eq!(said(Obstacle::Suppressed, 0), "it asked for no offers");
    }

    #[test]
    fn a_time_is_said_in_the_largest_unit_of_which_there_are_two() {
        let said = |millis| span(Duration::from_millis(millis));

        assert_eq!([said(400), said(59_900), said(119_000), said(7_000_000)], ["400 ms", "59 s", "119 s", "116 min"]);
        assert_eq!([said(86_400_000), said(864_000_000)], ["24 h", "10 days"]);
    }
}
