//! A proxy that makes tunnels, as companies have them between their machines and the web.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A name and a password.
const LOGIN: &str = "ada:s3cret";

/// Bytes of a request's head.
const HEAD_MAX: usize = 16 << 10;

/// A running proxy, gone with its value. It knows names that nobody else knows, all of this machine.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one that leads each of these names, each with a port, to a port of this machine.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start<const N: usize>(leads: [(String, u16); N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (leads, asked): (Arc<BTreeMap<_, _>>, Arc<Mutex<Vec<String>>>) = (Arc::new(leads.into()), Arc::default());
        let noted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (leads, noted) = (Arc::clone(&leads), Arc::clone(&noted));
                tokio::spawn(async move { tunnel(stream, &leads, &noted).await });
            }
        });
        Self { address, asked, task }
    }

    /// As `HTTPS_PROXY` names it, with the login that it wants.
    pub fn url(&self) -> String {
        format!("http://{LOGIN}@{}", self.address)
    }

    /// The same for somebody whom it does not know.
    pub fn url_of_a_stranger(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One tunnel. `None`: whoever wanted it, or the server, is gone.
async fn tunnel(mut stream: TcpStream, leads: &BTreeMap<String, u16>, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let wanted = head.strip_prefix("CONNECT ").and_then(|rest| Some(rest.split_once(' ')?.0)).unwrap_or("no tunnel");
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(wanted.to_owned());
    let is_known = head.contains(&format!("Basic {}\r\n", BASE64_STANDARD.encode(LOGIN)));
    let server = match (is_known, leads.get(wanted)) {
        (false, _) => Err("407 Proxy Authentication Required"),
        (true, None) => Err("403 Forbidden"),
        (true, Some(port)) => TcpStream::connect(("127.0.0.1", *port)).await.map_err(|_| "502 Bad Gateway"),
    };
    let answer = server.as_ref().err().copied().unwrap_or("200 Connection established");
    stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.ok()?;
    copy_bidirectional(&mut stream, &mut server.ok()?).await.ok().map(drop)
}
