//! RecordIO: a stream of messages, each behind its length.

/// One record: the length in decimal digits, a line end, and so many bytes. Clients want it in one chunk of HTTP.
pub fn record(message: &[u8]) -> Vec<u8> {
    let mut record = message.len().to_string().into_bytes();
    record.reserve(1 + message.len());
    record.push(b'\n');
    record.extend_from_slice(message);
    record
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_record_is_its_length_and_its_bytes() {
        assert_eq!(super::record(b"{\"type\":\"HEARTBEAT\"}"), b"20\n{\"type\":\"HEARTBEAT\"}");
    }
}
