//! How many agents, frameworks and operators may be connected, and how somebody says so.

use std::str::FromStr;

/// Connections on which nobody was let in yet, beside all others: so whoever comes to a full house is heard, and told.
pub(crate) const LOBBY: usize = 512;

/// How many of each kind may be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Agents that may have a session.
    pub agents: u32,
    /// Frameworks that may have a session.
    pub frameworks: u32,
    /// Connections of everybody else: operators, viewers, and whoever has opened no session.
    pub operators: u32,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            // A large cluster, all of whose agents come back after a failover while some of their old connections are not
            // known to be dead yet. What each may hold in memory is bounded, and so the whole.
            agents: 8_192,
            frameworks: 4_096,
            // Each `haggle run` begins as one.
            operators: 1_024,
        }
    }
}

impl Places {
    /// Connections that all of them need: an agent has one for its session and one for artifacts.
    pub(crate) fn connections(&self) -> usize {
        let [agents, frameworks, operators] =
            [self.agents, self.frameworks, self.operators].map(|places| places as usize);
        2 * agents + frameworks + operators + LOBBY
    }

    /// Sets those of one kind.
    pub fn set(&mut self, PlacesSetting { kind, places }: PlacesSetting) {
        match kind {
            Guests::Agents => self.agents = places,
            Guests::Frameworks => self.frameworks = places,
            Guests::Operators => self.operators = places,
        }
    }
}

/// Places of one kind as somebody wants them: `KIND=N`, where the kind is `agents`, `frameworks` or `operators`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacesSetting {
    kind: Guests,
    places: u32,
}

impl PlacesSetting {
    /// The kind, by its name.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }
}

impl FromStr for PlacesSetting {
    type Err = NotPlaces;

    fn from_str(text: &str) -> Result<Self, NotPlaces> {
        let wrong = || NotPlaces(text.to_owned());
        let (name, places) = text.split_once('=').ok_or_else(wrong)?;
        let kind = Guests::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(wrong)?;
        let places = places.parse().ok().filter(|places| (1..=MOST).contains(places)).ok_or_else(wrong)?;
        Ok(Self { kind, places })
    }
}

/// More of one kind than a master has been tried with by far.
const MOST: u32 = 1_000_000;

/// A text that sets no places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not of the form KIND=N, like agents=8192: the kinds are agents, frameworks and operators, and N is from 1 to \
     1000000"
)]
pub struct NotPlaces(String);

/// The kinds that have places of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guests {
    Agents,
    Frameworks,
    Operators,
}

impl Guests {
    const ALL: [Self; 3] = [Self::Agents, Self::Frameworks, Self::Operators];

    const fn name(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Frameworks => "frameworks",
            Self::Operators => "operators",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_set_by_their_kind() {
        let mut places = Places::default();
        for text in ["agents=1", "frameworks=20", "operators=300"] {
            places.set(text.parse().unwrap());
        }

        assert_eq!(places, Places { agents: 1, frameworks: 20, operators: 300 });
        for wrong in ["", "agents", "agents=", "agents=0", "viewers=3", "agents=1000001", "agents=x"] {
            assert!(wrong.parse::<PlacesSetting>().is_err(), "{wrong}");
        }
    }
}
