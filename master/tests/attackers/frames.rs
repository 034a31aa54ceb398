//! HTTP/2 by hand: frames that no library would send.

use std::time::Duration;

use haggle_master::Master;
use haggle_tls::{Connector, Stream, Token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const NONE: u8 = 0;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The largest frame that everybody takes.
pub(crate) const FRAME_MAX: usize = 16_384;

/// Above whatever a busy machine takes to answer or to hang up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the other end may take nothing before this end stops to speak: it does not read any more.
const STALLED: Duration = Duration::from_millis(500);

/// A frame that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error that it tells, when it ends a stream or the connection.
    pub(crate) fn error(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header that is not to be remembered, in plain letters.
pub(crate) fn header(name: &str, value: &[u8]) -> Vec<u8> {
    let mut header = vec![0];
    header.extend(string(name.as_bytes()));
    header.extend(string(value));
    header
}

/// A text as HPACK has it.
pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    let mut string = integer(text.len(), 7);
    string.extend(text);
    string
}

/// A number as HPACK has it, behind so many bits of its first byte.
fn integer(mut number: usize, bits: u32) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if number < most {
        return vec![u8::try_from(number).unwrap()];
    }
    number -= most;
    let mut bytes = vec![u8::try_from(most).unwrap()];
    while number >= 128 {
        bytes.push(u8::try_from(number % 128 + 128).unwrap());
        number /= 128;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// The headers of a call.
pub(crate) fn call(path: &str, token: Option<&Token>) -> Vec<u8> {
    // POST and http, of the table that everybody has.
    let mut headers = vec![0x83, 0x86];
    headers.extend(header(":path", path.as_bytes()));
    headers.extend(header(":authority", b"master"));
    headers.extend(header("content-type", b"application/grpc"));
    headers.extend(header("te", b"trailers"));
    if let Some(token) = token {
        headers.extend(header("authorization", token.bearer().authorization().as_bytes()));
    }
    headers
}

/// A connection to a master whose frames are written by hand.
pub(crate) struct Raw(Stream);

impl Raw {
    /// Over TLS, past the first settings.
    pub(crate) async fn connect(master: &Master) -> Self {
        let mut raw = Self::silent(master).await;
        raw.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        raw.say(&frame(SETTINGS, NONE, 0, &[])).await;
        raw
    }

    /// Over TLS, and nothing said yet.
    pub(crate) async fn silent(master: &Master) -> Self {
        let connector = Connector::new(&master.owner_token().trust(), None).unwrap();
        let ip = master.addr().ip().to_string();
        Self(connector.dial(&ip, master.addr().port()).await.unwrap())
    }

    /// Says it, if the other end still listens; whether it took it.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> bool {
        let said = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        matches!(timeout(STALLED, said).await, Ok(Ok(())))
    }

    /// The next frame; `None` when the other end has hung up.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], stream, payload })
        };
        timeout(PATIENCE, read).await.expect("the master answers or hangs up")
    }

    /// With which error the connection is ended, whatever comes before; `None` without a word.
    pub(crate) async fn last_word(&mut self) -> Option<u32> {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                last = frame.error();
            }
        }
        last
    }

    /// The error of the next frame that ends a stream or the connection; `None` when the other end has hung up without a
    /// word. A refusal in words, which ends a call as well, is one.
    pub(crate) async fn next_error(&mut self) -> Option<u32> {
        loop {
            let frame = self.next().await?;
            if let Some(error) = frame.error() {
                return Some(error);
            }
            // "431", in the table that everybody has under `:status`.
            if frame.kind == HEADERS
                && frame.payload.windows(3).any(|three| three == b"431" || three == [0x48, 0x82, 0x68])
            {
                return Some(431);
            }
        }
    }
}
