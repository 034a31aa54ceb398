//! The way from one agent to whoever leads. It can be cut, with or without a word.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use haggle_tls::OwnerTokens;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Masters;

/// What becomes of an agent's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// They are closed, and new ones as well.
    Refused,
    /// What is sent is held back, and nobody is told: a cable is pulled.
    Silent,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// A way to the master that leads: to one that stands by it never goes, since that one would show another way. What
    /// that master has left for its user is left for this port as well.
    pub(crate) async fn start(masters: Arc<Masters>, tokens: OwnerTokens) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (way, is) = watch::channel(Way::Open);
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = masters.address();
                if let Some(far) = far.as_deref().and_then(|far| far.parse().ok())
                    && let Some(token) = tokens.find(far)
                {
                    tokens.publish(address, &token).expect("the token of a master can be left once more");
                }
                tokio::spawn(carry(near, far, is.clone()));
            }
        });
        Self { address, way, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn carry(mut near: TcpStream, far: Option<String>, mut way: watch::Receiver<Way>) {
    let is = *way.borrow_and_update();
    if is == Way::Open {
        let Some(far) = far else { return };
        let Ok(mut far) = TcpStream::connect(far).await else { return };
        // Delays would be the proxy's, not the product's.
        if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
            return;
        }
        let mut changed = way.clone();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            // Closed, when this returns.
            _ = changed.wait_for(|way| *way == Way::Refused) => return,
            _ = way.wait_for(|way| *way == Way::Silent) => {}
        }
        // Both ends keep their connection, until the way is open again.
        let _ = way.wait_for(|way| *way != Way::Silent).await;
        return;
    }
    if is == Way::Silent {
        let _ = way.wait_for(|way| *way != Way::Silent).await;
    }
}
