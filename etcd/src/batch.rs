//! Many writes as transactions of a size that etcd takes.

use std::collections::HashMap;

use crate::ops::{delete, put};
use crate::rpc::RequestOp;

/// Operations in one transaction. etcd takes 128 by default; what comes around the rows needs a few.
const OPERATIONS: usize = 120;

/// Bytes of rows in one transaction. etcd takes 1.5 MiB by default.
const BYTES: usize = 1 << 20;

/// What is to be written, each key once: etcd takes no key twice in one transaction. The last change of it counts, at
/// the place of the first.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<(RequestOp, usize)>,
    places: HashMap<String, usize>,
}

impl Batch {
    /// Puts a row under a key.
    pub fn put(&mut self, key: String, row: Vec<u8>) {
        let size = key.len() + row.len();
        self.set(key, |key| put(key, row), size);
    }

    /// Removes a row.
    pub fn delete(&mut self, key: String) {
        let size = key.len();
        self.set(key, delete, size);
    }

    /// At least one, which begins with `first`. A row of more than a MiB is in one of its own, and etcd may refuse it.
    pub fn into_transactions(self, first: Vec<RequestOp>) -> Vec<Vec<RequestOp>> {
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
    use super::*;

    #[test]
    fn a_batch_without_rows_is_one_transaction() {
        assert_eq!(Batch::default().into_transactions(vec![put("/clock", "7")]), [vec![put("/clock", "7")]]);
    }

    #[test]
    fn a_key_that_is_changed_twice_is_written_once() {
        let mut batch = Batch::default();
        batch.put("/a".to_owned(), b"1".to_vec());
        batch.delete("/b".to_owned());
        batch.delete("/a".to_owned());

        let transactions = batch.into_transactions(vec![put("/clock", "7")]);

        assert_eq!(transactions, [vec![put("/clock", "7"), delete("/a"), delete("/b")]]);
    }

    #[test]
    fn a_large_batch_is_several_transactions_of_which_none_is_too_large() {
        let mut batch = Batch::default();
        for id in 0..1_000 {
            batch.delete(format!("/rows/{id}"));
        }

        let transactions = batch.into_transactions(vec![put("/clock", "7")]);

        assert_eq!(transactions.iter().map(Vec::len).sum::<usize>(), 1_001);
        assert!(transactions.iter().all(|transaction| transaction.len() <= OPERATIONS));
        assert_eq!(transactions[0][0], put("/clock", "7"));
    }

    #[test]
    fn large_rows_are_written_in_transactions_that_etcd_takes() {
        let mut batch = Batch::default();
        for id in 0..40 {
            batch.put(format!("/rows/{id}"), vec![0; 64 << 10]);
        }

        let transactions = batch.into_transactions(Vec::new());

        assert!(transactions.iter().all(|rows| rows.len() <= 16 && !rows.is_empty()));
        assert_eq!(transactions.iter().map(Vec::len).sum::<usize>(), 40);
    }
}
