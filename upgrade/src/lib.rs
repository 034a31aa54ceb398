//! One call of gRPC on a connection that it has for itself, without HTTP/2.
//!
//! HTTP/2 lets many calls share a connection. A session is one call that lasts as long as its connection, so it gains
//! nothing from that, and pays for it: 16 KiB of buffers on each side of a connection, a frame around each message, and a
//! task between the socket and whoever reads. Such a call can leave HTTP, by its `Upgrade` (RFC 9110, section 7.8):
//!
//! - The client asks `GET /package.Service/Method` in HTTP/1.1 with `upgrade: haggle.v1`, its metadata as headers.
//! - A call that is refused is answered with its status in the headers, as gRPC answers one that has no body. The connection
//!   is over then.
//! - Else the answer is `101 Switching Protocols`. From then on each side sends its messages as gRPC frames them: a flag, the
//!   length, the message. The client ends its part by closing its half of the connection.
//! - The server ends with a last frame, whose flag is 0x80: the status and its metadata as lines of headers, as gRPC-Web has
//!   them. A connection that ends without was cut.
//!
//! A side that hears nothing cannot tell a silent one from a lost one. So a client may ask for signs of life, with the
//! header `haggle-signs: MILLISECONDS`: then each side says something at least so often, and be it a frame with the flag 0x40
//! and no message, and gives up one that does not.
//!
//! Nothing else changes: the service behind it and the client before it are tonic's, and what guards, limits and meters calls
//! sees an ordinary one.

mod client;
mod incoming;
mod outgoing;
mod server;
mod signs;
mod trailers;

pub use client::Upgrading;
pub use server::Upgrades;

/// What both sides name in `upgrade`.
const PROTOCOL: &str = "haggle.v1";

/// The header that asks for signs of life.
const SIGNS: &str = "haggle-signs";

/// What gRPC calls its bodies.
const GRPC: &str = "application/grpc";
