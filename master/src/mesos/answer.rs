//! Answers in plain HTTP.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use haggle_mesos::Format;
use haggle_mesos::meaning::VERSION;
use haggle_mesos::wire::common::{Address, MasterInfo};
use http_body_util::Full;
use serde_json::{Value, json};
use tonic::body::Body;
use tonic::codegen::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use tonic::codegen::http::{HeaderValue, Method, Response, StatusCode};

use crate::handle::Reign;

/// Mesos's own port, for a master whose address says none.
const PORT: u16 = 5050;

pub(super) fn empty(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    response
}

pub(super) fn text(code: u16, message: impl Into<String>) -> Response<Body> {
    let mut response = whole(Bytes::from(message.into()), "text/plain; charset=utf-8");
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    response
}

pub(super) fn message(format: Format, message: Vec<u8>) -> Response<Body> {
    whole(message.into(), format.media_type())
}

pub(super) fn value(value: &Value) -> Response<Body> {
    whole(value.to_string().into(), Format::Json.media_type())
}

fn whole(body: Bytes, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn only_post(method: &Method) -> Response<Body> {
    let mut response = text(405, format!("{method} is not POST\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// What is spoken, which is not our version: clients read three whole numbers in it.
pub(super) fn version() -> Response<Body> {
    value(&json!({ "build_date": "", "build_time": 0.0, "build_user": "haggle", "version": VERSION }))
}

/// Elsewhere, by the same scheme.
pub(super) fn redirect(address: &str, path: &str) -> Response<Body> {
    let address = address.split_once('@').map_or(address, |(_, address)| address);
    let mut response = empty(307);
    if let Ok(location) = HeaderValue::from_str(&format!("//{address}{path}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A master that is reached at `host:port`.
pub(super) fn master_info(reign: Reign, address: &str) -> MasterInfo {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let port = port.parse().unwrap_or(PORT);
    let ip = address.parse().ok().and_then(|address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    });
    MasterInfo {
        id: format!("{:032x}-M{}", reign.cluster.0, reign.epoch.0),
        // In the order of the network, in a number of this machine.
        ip: u32::from_le_bytes(ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets()),
        port: port.into(),
        pid: Some(format!("master@{address}")),
        hostname: Some(host.to_owned()),
        version: Some(VERSION.to_owned()),
        address: Some(Address { hostname: Some(host.to_owned()), ip: ip.map(|ip| ip.to_string()), port: port.into() }),
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{ClusterId, Epoch};

    use super::*;

    #[test]
    fn a_master_says_where_it_is_as_mesos_does() {
        let info = master_info(Reign { cluster: ClusterId(1), epoch: Epoch(2) }, "127.0.0.1:5051");

        assert_eq!((info.ip, info.port), (16_777_343, 5051));
        assert_eq!(info.pid.as_deref(), Some("master@127.0.0.1:5051"));
    }
}
