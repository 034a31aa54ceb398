//! What goes over the wire, letter by letter.

mod json;
mod protobuf;
