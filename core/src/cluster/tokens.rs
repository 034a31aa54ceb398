//! Tokens: made, used, revoked, expired, forgotten.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::effect::{Change, Effect};
use super::refusal::Refusal;
use super::sessions;
use super::state::State;
use crate::access::{Denied, Over, Principal, TokenId, TokenKind, TokenRecord, Verb};
use crate::id::Digest;
use crate::time::Now;

/// Tokens that are known, those among them that let nobody in any more. A few megabytes; a person or a program each.
/// A token that is over is remembered until its place is needed, so that who still comes with it is told why it does not
/// work. No clock ends that: one that was wrong for a moment would end every token for good.
const TOKENS_MAX: usize = 10_000;

/// Every token that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    records: BTreeMap<TokenId, TokenRecord>,
    by_expiry: BTreeSet<(u64, TokenId)>,
    /// What the wall clock said last: milliseconds since 1970.
    wall_ms: u64,
}

impl Tokens {
    pub(super) fn new(records: Vec<(TokenId, TokenRecord)>) -> Self {
        let by_expiry = records.iter().map(|(id, record)| (record.expires_ms, *id)).collect();
        Self { records: records.into_iter().collect(), by_expiry, wall_ms: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn iter_after(&self, after: Option<TokenId>) -> impl Iterator<Item = (TokenId, &TokenRecord)> {
        self.records.range((super::views::above(after), core::ops::Bound::Unbounded)).map(|(&id, record)| (id, record))
    }

    /// A token that lets somebody in, or has done so to the last that it may.
    pub(super) fn valid(&self, id: TokenId) -> Result<&TokenRecord, Refusal> {
        let record = self.records.get(&id).ok_or(Refusal::TokenUnknown(id))?;
        match record.over(self.wall_ms) {
            None | Some(Over::UsedUp) => Ok(record),
            Some(over) => Err(Refusal::TokenOver(id, over)),
        }
    }

    /// Whether it makes a difference that the wall clock says this, in milliseconds since 1970: one expires then, or the
    /// clock was set back.
    pub(super) fn is_due(&self, wall_ms: u64) -> bool {
        let next = self.by_expiry.range((self.wall_ms.saturating_add(1), TokenId(0))..).next();
        wall_ms < self.wall_ms || next.is_some_and(|(at, _)| *at <= wall_ms)
    }

    fn set(&mut self, id: TokenId, record: TokenRecord) {
        self.remove(id);
        self.by_expiry.insert((record.expires_ms, id));
        self.records.insert(id, record);
    }

    fn remove(&mut self, id: TokenId) {
        if let Some(record) = self.records.remove(&id) {
            self.by_expiry.remove(&(record.expires_ms, id));
        }
    }

    /// One that lets nobody in any more, the one that was to end first.
    fn oldest_over(&self) -> Option<TokenId> {
        self.by_expiry.iter().map(|&(_, id)| id).find(|id| self.records[id].over(self.wall_ms).is_some())
    }
}

pub(super) fn create(
    state: &mut State,
    by: &Principal,
    id: TokenId,
    record: TokenRecord,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    record.check()?;
    let mut forgotten = None;
    match state.tokens.records.get(&id) {
        // What was ended stays so, however late a request is that is made again.
        Some(known) if known.made_by != by.name || known.revoked => return Err(Refusal::TokenExists(id)),
        None if state.tokens.len() >= TOKENS_MAX => {
            forgotten = Some(state.tokens.oldest_over().ok_or(Refusal::TooManyTokens(TOKENS_MAX))?);
        }
        _ => {}
    }
    if let Some(forgotten) = forgotten {
        forget(state, forgotten, out);
    }
    write(state, id, TokenRecord { made_by: Arc::clone(&by.name), revoked: false, ..record }, out);
    Ok(())
}

/// Asked again, it is no other: the sessions have ended already.
pub(super) fn revoke(state: &mut State, now: Now, id: TokenId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let record = state.tokens.records.get(&id).ok_or(Refusal::TokenUnknown(id))?;
    if record.revoked {
        return Ok(());
    }
    let record = TokenRecord { revoked: true, ..record.clone() };
    write(state, id, record, out);
    sessions::end_all_of(state, now, id, &format!("{id} was revoked"), out);
    Ok(())
}

/// Its holder knows the masters by this authority from now on. Told again, it is no other.
pub(super) fn follow(
    state: &mut State,
    who: &Principal,
    authority: Digest,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let id = who.token.ok_or_else(|| Denied { who: who.clone(), verb: Verb::FollowAuthority })?;
    let record = state.tokens.valid(id)?;
    if record.authority != Some(authority) {
        let record = TokenRecord { authority: Some(authority), ..record.clone() };
        write(state, id, record, out);
    }
    Ok(())
}

/// Counts one agent that joins.
pub(super) fn count_use(state: &mut State, id: TokenId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let record = state.tokens.valid(id)?;
    let TokenKind::Agent { uses_left: uses_left @ 1.. } = record.kind else {
        return Err(Refusal::TokenOver(id, Over::UsedUp));
    };
    let record = TokenRecord { kind: TokenKind::Agent { uses_left: uses_left - 1 }, ..record.clone() };
    write(state, id, record, out);
    Ok(())
}

/// The wall clock says so. Where it was set back, what has expired by it before lets somebody in again.
pub(super) fn wall_clock(state: &mut State, now: Now, wall_ms: u64, out: &mut Vec<Effect>) {
    let before = state.tokens.wall_ms;
    state.tokens.wall_ms = wall_ms;
    let expired = state.tokens.by_expiry.range((before.saturating_add(1), TokenId(0))..);
    let expired: Vec<_> = expired.take_while(|(at, _)| *at <= wall_ms).map(|&(_, id)| id).collect();
    for id in expired {
        sessions::end_all_of(state, now, id, &format!("{id} has expired"), out);
    }
}

fn write(state: &mut State, id: TokenId, record: TokenRecord, out: &mut Vec<Effect>) {
    out.push(Effect::Remember(Change::TokenRecorded(id, record.clone())));
    state.tokens.set(id, record);
}

fn forget(state: &mut State, id: TokenId, out: &mut Vec<Effect>) {
    state.tokens.remove(id);
    out.push(Effect::Remember(Change::TokenRemoved(id)));
}
