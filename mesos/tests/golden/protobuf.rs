//! The same messages in protobuf, for the clients in Go and Java.
//!
//! `messages.txt` holds, for each, what Google's own library makes of it with Mesos's `.proto` files: its kind, its bytes, its JSON.

use haggle_mesos::Format::{Json, Protobuf};
use haggle_mesos::wire::scheduler::{Call, Event};

const MESSAGES: &str = include_str!("messages.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

macro_rules! same {
    ($message:ty, $bytes:expr, $json:expr) => {{
        let message: $message = Json.read($json.as_bytes()).unwrap();
        assert_eq!(Protobuf.read::<$message>(&$bytes).unwrap(), message, "{}", $json);
        assert_eq!(Protobuf.write(&message), $bytes, "{}", $json);
        assert_eq!(Json.read::<$message>(&Json.write(&message)).unwrap(), message, "{}", $json);
    }};
}

#[test]
fn bytes_are_those_of_googles_library_and_mean_the_same_as_the_json() {
    let mut seen = 0;
    for line in MESSAGES.lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        let (hex, json) = rest.split_once(' ').unwrap();
        match kind {
            "Call" => same!(Call, bytes(hex), json),
            _ => same!(Event, bytes(hex), json),
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn bytes_that_are_none_say_so() {
    assert!(Protobuf.read::<Call>(b"\x08").unwrap_err().to_string().contains("protobuf"));
}
