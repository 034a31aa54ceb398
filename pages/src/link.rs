//! Addresses of pages: the whole view is in them.

use std::fmt::Write as _;

/// What stands behind the `?` of an address, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// Pairs that are read of one address. More are none that a page of ours wrote.
const PAIRS_MAX: usize = 32;

impl Query {
    /// Reads one. What is damaged is read as far as it makes sense: it selects nothing worse than an empty list.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX);
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(
            pairs.map(|(name, value)| (decoded(name), decoded(value))).filter(|(_, value)| !value.is_empty()).collect(),
        )
    }

    /// What a name stands for; empty when it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    /// Which page of a list: from 1.
    pub fn page(&self) -> usize {
        self.get("page").parse().ok().filter(|page| *page > 0).unwrap_or(1)
    }

    /// The same with one value set; an empty one is taken out. Another filter begins with the first page.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let kept = self.0.iter().filter(|(own, _)| own != name && own != "page").cloned();
        let set = (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()));
        Self(kept.chain(set).collect())
    }

    /// The address of this on a page.
    pub fn on(&self, path: &str) -> String {
        let mut address = path.to_owned();
        for (at, (name, value)) in self.0.iter().enumerate() {
            let _ = write!(address, "{}{}={}", if at == 0 { '?' } else { '&' }, encoded(name), encoded(value));
        }
        address
    }

    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Text as it may stand within an address.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// What was encoded, with a space for each `+`. What is no UTF-8 is replaced.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = (first == b'%').then(|| behind.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = if byte.is_some() { &behind[2..] } else { behind };
        bytes.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_filter_says_comes_back_from_its_address() {
        for text in ["a b&c=d", "größer", "<script>", "100%", "a+b", "eng/batch", "\u{202e}x"] {
            let address = Query::default().with("q", text).on("/tasks");

            assert!(address.is_ascii() && !address.contains(['<', ' ', '"']), "{address}");
            assert_eq!(Query::parse(address.split_once('?').unwrap().1).get("q"), text);
        }
    }

    #[test]
    fn another_filter_begins_with_the_first_page() {
        let query = Query::parse("q=a&page=7");

        assert_eq!((query.page(), query.with("state", "failed").page()), (7, 1));
        assert_eq!(query.with("q", "").on("/tasks"), "/tasks");
        assert_eq!(query.with("page", "8").on("/tasks"), "/tasks?q=a&page=8");
    }

    #[test]
    fn what_is_damaged_is_no_panic() {
        for text in ["%", "%z", "%f", "=", "&&&", "%ff%fe", "a=%00", "page=-1", "page=99999999999999999999999"] {
            assert_eq!(Query::parse(text).page(), 1, "{text}");
        }
    }
}
