//! Messages of the v1 API, those of them that are served. Names and field numbers are those of Apache Mesos
//! (`include/mesos/v1/*.proto`, Apache License 2.0), where each is described.

pub mod common;
pub mod master;
pub mod offer;
pub mod scheduler;
pub mod status;
pub mod task;
