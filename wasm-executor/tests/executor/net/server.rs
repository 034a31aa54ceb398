//! Servers on loopback, one thread each, that end with their test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A server, and how many connections it was sent.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Every connection is served on a thread of its own.
    pub(super) fn tcp(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, serve) = (Arc::<AtomicUsize>::default(), Arc::new(serve));
        let counted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self { address, asked }
    }

    /// Sends back what it is sent, until that ends.
    pub(super) fn echo() -> Self {
        Self::tcp(|mut stream| {
            let mut reader = stream.try_clone().unwrap();
            // The other side may go away in the middle.
            let _ = std::io::copy(&mut reader, &mut stream);
        })
    }

    /// Reads a request's head and sends this.
    pub(super) fn http(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::tcp(move |mut stream| {
            read_head(&mut stream);
            let _ = stream.write_all(&response);
        })
    }

    /// Takes a connection, says so, and says nothing to whoever connected; says when the other side has closed it.
    pub(super) fn silent() -> (Self, Receiver<&'static str>) {
        let (says, said) = channel();
        let server = Self::tcp(move |mut stream| {
            let _ = says.send("connected");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            let _ = says.send("closed");
        });
        (server, said)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The request up to the empty line.
pub(super) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Answers each datagram with itself, twice over.
pub(super) fn udp_double() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&[&buffer[..length], &buffer[..length]].concat(), from);
        }
    });
    address
}
