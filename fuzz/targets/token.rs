//! Any bytes in the place of a token, as its text and as its content under a checksum that is right: it is refused, or it is
//! what it says.

#![no_main]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use haggle_tls::{Bearer, Token, TokenError, TokenId};

/// What no token exceeds. A longer text is not even read.
const TEXT_MAX: usize = 8 << 10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        // No text begins so.
        Some((0xff, content)) => {
            let text = sealed(content);
            if let Some(token) = read(&text) {
                cut(&token);
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            read(text);
            let shown = Bearer::from_authorization(text);
            assert_eq!(Bearer::from_authorization(&format!("Bearer {text}")), text.trim().parse());
            if let Ok(bearer) = shown {
                assert_eq!(Bearer::from_authorization(&bearer.authorization()), Ok(bearer));
            }
            if let Ok(id) = text.parse::<TokenId>() {
                assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
    }
});

/// A text that reads is what its token writes, but for blanks.
fn read(text: &str) -> Option<Token> {
    let token = text.parse::<Token>().ok()?;
    assert!(text.len() <= TEXT_MAX, "a token of {} bytes", text.len());
    assert!(token.addresses.len() <= Token::ADDRESSES_MAX, "{} addresses", token.addresses.len());
    assert_eq!(token.text().parse(), Ok(token.clone()), "a token is not what it writes");
    assert_eq!(text.parse(), Ok(token.bearer()), "a whole token shows another secret");
    Some(token)
}

/// A token that lost its end says so, wherever it was cut.
fn cut(token: &Token) {
    let text = token.text();
    for end in 1..text.len() {
        assert_eq!(text[..end].parse::<Token>(), Err(TokenError::CutShort), "{end} of {} bytes", text.len());
    }
}

/// With its length and its checksum.
fn sealed(content: &[u8]) -> String {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(content);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    format!("hgl1.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
