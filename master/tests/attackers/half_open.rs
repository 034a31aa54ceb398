//! Many connections of one address that never become any. All of 127.0.0.0/8 is this machine on Linux alone.
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::kit::{ask, channel, master};

/// A connection to the master from another address of loopback.
async fn from(address: Ipv4Addr, master: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(master).await.unwrap()
}

#[tokio::test]
async fn two_thousand_half_open_connections_of_one_address_keep_nobody_out() {
    let master = master().await;
    let attacker = Ipv4Addr::new(127, 0, 0, 2);
    let mut held = VecDeque::new();
    for _ in 0..2_000 {
        // This process may not have all of them at once. What it closes makes room at the master for the next.
        if held.len() == 300 {
            held.pop_front();
        }
        let mut stream = from(attacker, master.addr()).await;
        // The beginning of a handshake of 512 bytes. Who is turned away already cannot say it.
        let _ = stream.write_all(&[0x16, 3, 1, 2, 0]).await;
        held.push_back(stream);
    }

    ask(channel(&master, &master.owner_token().trust(), None), Some(master.owner_token())).await.unwrap();
}
