//! What transactions are made of, in our own words.

use crate::rpc::compare::{CompareTarget, TargetUnion};
use crate::rpc::request_op::Request;
use crate::rpc::response_op::Response;
use crate::rpc::{Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, ResponseOp};

/// Holds when the key was made at that revision; 0: when there is no such key.
pub fn created_at(key: &str, revision: i64) -> Compare {
    compare(key, CompareTarget::Create, TargetUnion::CreateRevision(revision))
}

/// Holds when the key was last changed at that revision; 0: when there is no such key.
pub fn changed_at(key: &str, revision: i64) -> Compare {
    compare(key, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

/// Holds when the key is there and has that value.
pub(crate) fn equals(key: &str, value: &str) -> Compare {
    compare(key, CompareTarget::Value, TargetUnion::Value(value.into()))
}

fn compare(key: &str, target: CompareTarget, with: TargetUnion) -> Compare {
    Compare { target: target.into(), key: key.into(), target_union: Some(with), ..Default::default() }
}

/// Puts a value under a key.
pub fn put(key: &str, value: impl Into<Vec<u8>>) -> RequestOp {
    put_under(0, key, value)
}

/// Puts a value under a key, which is gone when the lease is.
pub fn put_under(lease: i64, key: &str, value: impl Into<Vec<u8>>) -> RequestOp {
    let put = PutRequest { key: key.into(), value: value.into(), lease };
    RequestOp { request: Some(Request::RequestPut(put)) }
}

/// Removes a key, if it is there.
pub fn delete(key: &str) -> RequestOp {
    RequestOp {
        request: Some(Request::RequestDeleteRange(DeleteRangeRequest { key: key.into(), ..Default::default() })),
    }
}

/// Of all keys that begin with `prefix`, which is not empty.
pub fn delete_all(prefix: &str) -> RequestOp {
    let all = DeleteRangeRequest { key: prefix.into(), range_end: end_of(prefix) };
    RequestOp { request: Some(Request::RequestDeleteRange(all)) }
}

/// The first key behind all that begin with `prefix`, whose last byte is ASCII.
pub(crate) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix is not empty") += 1;
    end
}

/// Asks what is under a key.
pub fn get(key: &str) -> RequestOp {
    RequestOp { request: Some(Request::RequestRange(RangeRequest { key: key.into(), ..Default::default() })) }
}

/// What one [`get`] of a transaction found; nothing for any other operation.
pub fn found(response: ResponseOp) -> Option<KeyValue> {
    match response.response {
        Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
        _ => None,
    }
}

/// A value that is text.
pub fn text(row: &KeyValue) -> String {
    String::from_utf8_lossy(&row.value).into_owned()
}
