//! A way to etcd that can be cut: what is sent is lost, and nobody is told, as when a cable is pulled.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    url: String,
    open: watch::Sender<bool>,
}

impl Proxy {
    /// A way to where `url` is, as long as it is open.
    pub(crate) async fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, address.clone(), is_open.clone()));
            }
        });
        Self { url, open }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, to: String, mut open: watch::Receiver<bool>) {
    if *open.borrow() {
        let mut cut = open.clone();
        let Ok(mut far) = TcpStream::connect(to).await else { return };
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = cut.wait_for(|open| !open) => {}
        }
    }
    // Held without a word. When the way is mended, the connection is found to be broken.
    let _ = open.wait_for(|open| *open).await;
}
