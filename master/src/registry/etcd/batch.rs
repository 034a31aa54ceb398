//! Changes of the registry as transactions of a size that etcd takes.
//!
//! A batch may need several transactions, and the master may die between two. That is safe, since nothing of the batch
//! is let out before the last of them is done, and what the first ones leave is a state that the registry can have:
//! rows do not refer to each other, each is written whole, a use of a token is counted before the id that it gives, and the highest ids given are in the first transaction, so
//! that no id that was written, or told anybody, is ever given again.

use std::collections::HashMap;

use haggle_core::cluster::Change;

use super::ops::{Keys, delete, put};
use super::rpc::RequestOp;
use crate::registry::row;

/// Operations in one transaction. etcd takes 128 by default; what comes around the rows needs a few.
const OPERATIONS: usize = 120;

/// Bytes of rows in one transaction. etcd takes 1.5 MiB by default; one row has at most about 64 KiB.
const BYTES: usize = 1 << 20;

/// What is to be written, each key once: etcd takes no key twice in one transaction. The last change of it counts, at
/// the place of the first.
#[derive(Default)]
pub(super) struct Rows {
    rows: Vec<(RequestOp, usize)>,
    places: HashMap<String, usize>,
}

impl Rows {
    pub(super) fn change(&mut self, keys: &Keys, change: &Change) {
        match change {
            Change::AgentRecorded(id, agent) => self.put(keys.agent(id.0), row::write_agent(agent)),
            Change::AgentRemoved(id) => self.delete(keys.agent(id.0)),
            Change::FrameworkSubscribed(id, framework) => {
                self.put(keys.framework(id.0), row::write_framework(framework));
            }
            Change::FrameworkRemoved(id) => self.delete(keys.framework(id.0)),
            Change::AgentEnrolled(id, enrolment) => self.put(keys.enrolment(id.0), row::write_enrolment(enrolment)),
            Change::EnrolmentEnded(id) => self.delete(keys.enrolment(id.0)),
            Change::TokenRecorded(id, token) => self.put(keys.token(id.0), row::write_token(token)),
            Change::TokenRemoved(id) => self.delete(keys.token(id.0)),
        }
    }

    /// At least one, which begins with `first`.
    pub(super) fn into_transactions(self, first: Vec<RequestOp>) -> Vec<Vec<RequestOp>> {
        let mut transactions = Vec::new();
        let (mut current, mut bytes) = (first, 0);
        for (operation, size) in self.rows {
            if current.len() == OPERATIONS || (bytes > 0 && bytes + size > BYTES) {
                transactions.push(std::mem::take(&mut current));
                bytes = 0;
            }
            bytes += size;
            current.push(operation);
        }
        transactions.push(current);
        transactions
    }

    fn put(&mut self, key: String, row: Vec<u8>) {
        let size = key.len() + row.len();
        self.set(key, |key| put(key, row), size);
    }

    fn delete(&mut self, key: String) {
        let size = key.len();
        self.set(key, delete, size);
    }

    fn set(&mut self, key: String, operation: impl FnOnce(&str) -> RequestOp, size: usize) {
        let row = (operation(&key), size);
        match self.places.get(&key) {
            Some(place) => self.rows[*place] = row,
            None => {
                self.places.insert(key, self.rows.len());
                self.rows.push(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, FrameworkId};

    use super::*;

    fn transactions(changes: &[Change]) -> Vec<Vec<RequestOp>> {
        let keys = Keys::below("/test");
        let mut rows = Rows::default();
        for change in changes {
            rows.change(&keys, change);
        }
        rows.into_transactions(vec![put("/test/clock", "7")])
    }

    #[test]
    fn a_batch_without_rows_is_one_transaction() {
        assert_eq!(transactions(&[]), [vec![put("/test/clock", "7")]]);
    }

    #[test]
    fn a_key_that_is_changed_twice_is_written_once() {
        let removed = Change::FrameworkRemoved(FrameworkId(3));

        let transactions = transactions(&[removed.clone(), Change::AgentRemoved(AgentId(3)), removed]);

        let framework = delete("/test/frameworks/00000000000000000003");
        let agent = delete("/test/agents/00000000000000000003");
        assert_eq!(transactions, [vec![put("/test/clock", "7"), framework, agent]]);
    }

    #[test]
    fn a_large_batch_is_several_transactions_of_which_none_is_too_large() {
        let changes: Vec<_> = (1..=1_000).map(|id| Change::AgentRemoved(AgentId(id))).collect();

        let transactions = transactions(&changes);

        assert_eq!(transactions.iter().map(Vec::len).sum::<usize>(), 1_001);
        assert!(transactions.iter().all(|transaction| transaction.len() <= OPERATIONS));
        assert_eq!(transactions[0][0], put("/test/clock", "7"));
    }

    #[test]
    fn large_rows_are_written_in_transactions_that_etcd_takes() {
        let mut rows = Rows::default();
        for id in 0..40 {
            rows.put(format!("/test/agents/{id}"), vec![0; 64 << 10]);
        }

        let transactions = rows.into_transactions(Vec::new());

        assert!(transactions.iter().all(|rows| rows.len() <= 16 && !rows.is_empty()));
        assert_eq!(transactions.iter().map(Vec::len).sum::<usize>(), 40);
    }
}
