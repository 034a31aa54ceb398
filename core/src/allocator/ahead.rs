//! Who is served before a framework by fair share, and by how much.

use alloc::string::String;
use alloc::vec::Vec;

use super::seat::Seat;
use super::share::Place;
use super::tree::{ROOT, RoleId};
use super::why::Sight;
use super::{Allocator, Member};
use crate::id::FrameworkId;
use crate::resources::Share;

/// Those that are named of all that are ahead: whoever is next comes first, and people read no more.
const NAMED: usize = 5;

/// One that is served before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Who.
    pub framework: FrameworkId,
    /// In which of its roles.
    pub role: String,
    /// The lowest role above both, whose branches are compared; empty where that is the whole tree. When both are in this very role, the
    /// frameworks themselves are compared.
    pub under: String,
    /// What the branch of the one that is ahead has: its dominant share, divided by its weight.
    pub share: Share,
    /// The same of the other one. When it is as much, whoever was chosen less often is ahead, and then by name.
    pub than: Share,
}

/// Where somebody stands by fair share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rank {
    /// 1 is next. `None` for somebody who takes nothing.
    pub(super) rank: Option<usize>,
    /// How many stand there.
    pub(super) ranked: usize,
    /// Those before it that may be named, next first; at most [`NAMED`].
    pub(super) ahead: Vec<Ahead>,
}

impl Allocator {
    /// Where somebody stands among those that would take something, in the order in which they are served.
    pub(super) fn rank_of(&self, seat: Seat, known: &Member, sight: &Sight<'_>) -> Rank {
        let mut found = Rank::default();
        let waits = known.waits_since.is_some() && known.place.is_some();
        self.tree.ask(ROOT, &mut |other| {
            found.ranked += 1;
            if other == seat {
                found.rank = Some(found.ranked);
            }
            if waits && found.rank.is_none() && found.ahead.len() < NAMED {
                found.ahead.extend(self.ahead(other, seat, sight));
            }
            None::<()>
        });
        found
    }

    fn ahead(&self, first: Seat, second: Seat, sight: &Sight<'_>) -> Option<Ahead> {
        let role = self.tree.path(first.role);
        if !(sight.framework)(first.framework, &role) {
            return None;
        }
        let ((share, _), (than, _), under) = self.compared(first, second)?;
        Some(Ahead { framework: first.framework, role, under: self.tree.path(under), share, than })
    }

    /// The places by which two that would take something are ordered, and the role in which that is.
    fn compared(&self, first: Seat, second: Seat) -> Option<(Place, Place, RoleId)> {
        let (under, one, other) = self.tree.branches(first.role, second.role);
        let place = |seat: Seat, branch| match (one, other) {
            (None, None) => self.members.get(&seat)?.place,
            _ => self.tree.place_of_branch(under, branch),
        };
        Some((place(first, one)?, place(second, other)?, under))
    }
}

/// For tests, which look at everything.
#[cfg(test)]
impl Allocator {
    /// Whether the rules put the first of these before the second: by share, then by how often they were chosen.
    pub(super) fn is_ahead(&self, first: Seat, second: Seat) -> bool {
        self.compared(first, second).is_some_and(|(first, second, _)| first <= second)
    }

    /// How many are named at most.
    pub(super) const MOST_AHEAD: usize = NAMED;
}
