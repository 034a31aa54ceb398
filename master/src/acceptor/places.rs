//! How many connections there may be.

use tracing::debug;

/// Descriptors that are kept for everything but connections of peers: 128 artifacts that are read or written, the
/// registry, the masters among each other. Other parts of the process may have some, too.
const OTHER_DESCRIPTORS: usize = 512;

/// As many of these as the system lets this process have.
pub(crate) fn given(wanted: usize) -> usize {
    let places = places(wanted, descriptors(wanted));
    if places < wanted {
        // `haggle limits` shows it, and whoever finds no place is told.
        debug!(
            "the system allows this process {places} connections, {wanted} are wanted: raise its limit of open files"
        );
    }
    places
}

/// So many connections leave the rest of the descriptors to others.
fn places(wanted: usize, descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.and_then(|descriptors| usize::try_from(descriptors).ok()).unwrap_or(usize::MAX);
    // With few, half of them: a master that takes nobody is of no use.
    let others = OTHER_DESCRIPTORS.min(descriptors / 2);
    (descriptors - others).min(wanted)
}

/// Asks the system for as many descriptors as this process may come to need, and says how many it has; `None` where that is
/// not limited.
#[cfg(unix)]
fn descriptors(connections: usize) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// What some systems give at most, whatever else they say: macOS's `OPEN_MAX`.
    const AT_MOST_SOMEWHERE: u64 = 10_240;

    let wanted = (connections + OTHER_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let has = current?;
    let mut raised = [wanted, AT_MOST_SOMEWHERE].into_iter().filter_map(|soft| {
        let soft = maximum.map_or(soft, |maximum| soft.min(maximum));
        let is_more = soft > has;
        (is_more && setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum }).is_ok()).then_some(soft)
    });
    // Asked in turn, up to the first that is given.
    Some(raised.next().unwrap_or(has))
}

#[cfg(not(unix))]
fn descriptors(_: usize) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: usize = 13_312;

    #[test]
    fn there_is_a_connection_for_everybody_where_the_system_gives_descriptors() {
        let plenty = (WANTED + OTHER_DESCRIPTORS) as u64;

        assert!([None, Some(u64::MAX), Some(plenty)].into_iter().all(|given| places(WANTED, given) == WANTED));
    }

    #[test]
    fn where_it_gives_few_some_are_left_for_everything_else() {
        assert_eq!([10_240, 1_024, 256].map(|given| places(WANTED, Some(given))), [9_728, 512, 128]);
    }

    #[cfg(unix)]
    #[test]
    fn as_many_descriptors_as_may_be_are_asked_for() {
        use rustix::process::{Resource, getrlimit};

        let given = descriptors(WANTED);

        let limit = getrlimit(Resource::Nofile);
        assert_eq!(given, limit.current);
        let wanted = (WANTED + OTHER_DESCRIPTORS) as u64;
        let enough = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        assert!(cfg!(not(target_os = "linux")) || limit.current.is_none_or(|current| current >= enough));
    }
}
