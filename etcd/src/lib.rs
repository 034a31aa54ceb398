//! A small client of etcd (3.4 and later): keys, transactions, leases that are kept alive, and writes that only the
//! holder of a key can do. Whoever builds on it decides what the keys mean.
#![warn(missing_docs)]

mod batch;
mod client;
mod config;
mod fence;
mod lease;
mod moment;
mod ops;
mod session;

pub use batch::Batch;
pub use client::Client;
pub use config::{EtcdConfig, EtcdError};
pub use fence::Fence;
pub use lease::{Lease, LeaseLost};
pub use moment::Moment;
pub use ops::{changed_at, created_at, delete, delete_all, found, get, put, put_under, text};
pub use rpc::{Compare, KeyValue, RequestOp, ResponseOp, TxnRequest, TxnResponse};
pub use session::Session;

/// The generated clients of etcd's API.
#[expect(
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    clippy::doc_markdown,
    missing_docs,
    unreachable_pub,
    reason = "generated code"
)]
mod rpc {
    tonic::include_proto!("etcdserverpb");
}
