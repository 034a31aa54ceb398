//! What takes long to decide is heard in pieces, and others in between.

use std::mem;

use haggle_core::cluster::{Command, FrameworkCall, FrameworkCommand};

/// Offers that are declined in one piece, which is a turn: a quarter of a millisecond, with what follows from it.
const OFFERS: usize = 64;

/// What it costs to hear that an offer is declined, in bytes. That alone is about a third of a small command; but what was declined is
/// looked at anew, and offered.
const OFFER: usize = 512;

/// Some commands of one message that are decided together.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) commands: Vec<Command>,
    /// What they cost beside their bytes.
    pub(super) cost: usize,
}

/// The commands of one message, in pieces to be decided one after another.
///
/// Of all commands only a decline is cut: whatever becomes of one of its offers, the others are declined. The call's number is with
/// its last piece, so that what was heard in part is no call that was heard.
pub(super) fn pieces(commands: Vec<Command>) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(1);
    let mut piece = Piece::default();
    for command in commands {
        match command {
            Command::Framework(
                session,
                FrameworkCall { number, command: FrameworkCommand::Decline { offers, refuse } },
            ) => {
                let mut rest = offers.into_iter();
                while rest.len() > OFFERS {
                    let offers = rest.by_ref().take(OFFERS).collect();
                    let command = FrameworkCommand::Decline { offers, refuse };
                    piece.cost += OFFERS * OFFER;
                    piece.commands.push(Command::Framework(session, command.into()));
                    pieces.push(mem::take(&mut piece));
                }
                piece.cost += rest.len() * OFFER;
                let command = FrameworkCommand::Decline { offers: rest.collect(), refuse };
                piece.commands.push(Command::Framework(session, FrameworkCall { number, command }));
            }
            command => piece.commands.push(command),
        }
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use haggle_core::{OfferId, SessionId};

    use super::*;

    const SESSION: SessionId = SessionId(1);
    const REFUSE: Duration = Duration::from_secs(5);

    fn call(number: u64, command: FrameworkCommand) -> Command {
        Command::Framework(SESSION, FrameworkCall { number, command })
    }

    fn declines(number: u64, offers: impl IntoIterator<Item = u64>) -> Command {
        call(number, FrameworkCommand::Decline { offers: offers.into_iter().map(OfferId).collect(), refuse: REFUSE })
    }

    fn revives(number: u64) -> Command {
        call(number, FrameworkCommand::Revive { role: None })
    }

    #[test]
    fn a_decline_of_very_many_offers_is_cut_and_keeps_its_place_and_its_number() {
        let most = OFFERS as u64;

        let pieces = pieces(vec![revives(1), declines(2, 0..2 * most + 7), revives(3)]);

        let commands: Vec<_> = pieces.iter().map(|piece| piece.commands.clone()).collect();
        let last = declines(2, 2 * most..2 * most + 7);
        let expected =
            [vec![revives(1), declines(0, 0..most)], vec![declines(0, most..2 * most)], vec![last, revives(3)]];
        assert_eq!(commands, expected);
        assert_eq!(pieces.iter().map(|piece| piece.cost).collect::<Vec<_>>(), [OFFERS, OFFERS, 7].map(|of| of * OFFER));
    }

    #[test]
    fn everything_else_is_decided_as_it_was_said() {
        let said = vec![revives(1), declines(2, 0..3), revives(3)];

        let pieces = pieces(said.clone());

        assert_eq!(pieces.into_iter().map(|piece| piece.commands).collect::<Vec<_>>(), [said]);
    }
}
