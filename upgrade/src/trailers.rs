//! The last frame of a call: how it ended.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The flag of its frame.
pub(crate) const TRAILERS: u8 = 0x80;

/// A flag, and the length of what follows.
pub(crate) const HEAD: usize = 5;

/// Bytes that the last frame may have.
pub(crate) const TRAILERS_MAX: usize = 64 << 10;

/// The frame.
pub(crate) fn frame(trailers: &HeaderMap) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(HEAD + lines.len());
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(lines.len()).expect("headers are shorter"));
    frame.put_slice(&lines);
    frame.freeze()
}

/// What the frame says, behind its head; `None` when it is no list of headers.
pub(crate) fn read(lines: &[u8]) -> Option<HeaderMap> {
    let text = lines.strip_suffix(b"\r\n").unwrap_or(lines);
    let mut trailers = HeaderMap::new();
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        trailers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_read_as_they_were_written() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("14"));
        trailers.insert("grpc-message", HeaderValue::from_static("one: two%0Athree"));
        trailers.append("haggle-leader", HeaderValue::from_static("http://[::1]:5050"));
        trailers.append("haggle-leader", HeaderValue::from_static(""));

        let frame = frame(&trailers);

        assert_eq!(frame[0], TRAILERS);
        assert_eq!(u32::from_be_bytes(frame[1..HEAD].try_into().unwrap()) as usize, frame.len() - HEAD);
        assert_eq!(read(&frame[HEAD..]), Some(trailers));
    }

    #[test]
    fn what_is_no_header_is_no_trailer() {
        assert_eq!(read(b""), Some(HeaderMap::new()));
        for garbled in [&b"grpc-status"[..], b"grpc status: 1\r\n", b": 1\r\n", b"a: \x01\r\n"] {
            assert_eq!(read(garbled), None, "{garbled:?}");
        }
    }
}
