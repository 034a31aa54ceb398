//! What strangers can do to the port, and that nobody else notices.

use std::time::SystemTime;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use haggle_core::{AgentId, ClusterId};
use haggle_tls::{Connector, Credentials, Identity, LEAF_LIFE, PrivateKey, ServerIdentity, Trust, server_config};

use super::*;

const CLUSTER: ClusterId = ClusterId(0xc1);

/// Above every handshake that these tests make, on a machine that is busy.
const PATIENT: Limits = Limits {
    handshake: Duration::from_secs(60),
    unfinished: 1_000,
    from_one: 64,
    strangers: StrangerBounds { all: 1_000, from_one: 64, within: Duration::from_secs(60) },
    all: 1_000,
};

struct Port {
    address: SocketAddr,
    authorities: Arc<Authorities>,
    accepted: BoxStream<'static, io::Result<Connection>>,
}

impl Port {
    async fn open(limits: Limits) -> Self {
        let authorities = Arc::new(Authorities::make(CLUSTER, SystemTime::now()));
        let certificate = authorities.server(&[], SystemTime::now(), LEAF_LIFE).unwrap();
        let identity = Arc::new(ServerIdentity::new(certificate));
        let config = server_config(identity, &[authorities.current().certificate().der().clone()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_, secured) = watch::channel(Secured { config, authorities: Arc::clone(&authorities) });
        let accepted = accept(listener, Some(secured), limits, Door::default()).unwrap().0.boxed();
        Self { address, authorities, accepted }
    }

    fn trust(&self) -> Trust {
        Trust::pinned(CLUSTER, self.authorities.current().fingerprint())
    }

    /// Who gets in next, while somebody does something at the other end.
    async fn next_while<T>(&mut self, other_end: impl Future<Output = T>) -> (Remote, T) {
        let (accepted, done) = tokio::join!(self.accepted.next(), other_end);
        (accepted.unwrap().unwrap().remote().clone(), done)
    }

    /// Does something at the other end, and makes sure that it lets nobody in.
    async fn nobody_while<T>(&mut self, other_end: impl Future<Output = T>) -> T {
        tokio::select! {
            accepted = self.accepted.next() => panic!("somebody got in: {accepted:?}"),
            done = other_end => done,
        }
    }
}

async fn closed(mut stream: TcpStream) -> bool {
    matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn who_connects_is_known_by_the_certificate_or_not_at_all() {
    let mut port = Port::open(PATIENT).await;
    let key = PrivateKey::generate();
    let certificate = port.authorities.current().agent(AgentId(7), &key.request(), SystemTime::now()).unwrap();
    let believed = [port.authorities.current().certificate().der().clone()];
    let identity = Identity::new(&Credentials::new(key, certificate.der(), &believed).unwrap());
    for (shown, agent) in [(Some(identity), Some(AgentId(7))), (None, None)] {
        let connector = Connector::new(&port.trust(), shown).unwrap();
        let address = port.address;

        let (remote, stream) = port.next_while(connector.dial("127.0.0.1", address.port())).await;

        stream.unwrap();
        assert_eq!(remote.agent, agent);
        assert_eq!(
            remote.signer.map(|signer| signer.authority),
            agent.map(|_| port.authorities.current().fingerprint())
        );
        assert!(remote.address.ip().is_loopback());
    }
}

#[tokio::test]
async fn plain_text_is_closed() {
    let mut port = Port::open(PATIENT).await;
    let address = port.address;

    let was_closed = port
        .nobody_while(async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            closed(stream).await
        })
        .await;

    assert!(was_closed);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_closed() {
    let mut port = Port::open(Limits { handshake: Duration::from_millis(20), ..PATIENT }).await;
    let address = port.address;

    let was_closed = port
        .nobody_while(async {
            let silent = TcpStream::connect(address).await.unwrap();
            let mut stuck = TcpStream::connect(address).await.unwrap();
            // The beginning of a handshake of 512 bytes.
            stuck.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
            closed(silent).await && closed(stuck).await
        })
        .await;

    assert!(was_closed);
}

#[tokio::test]
async fn above_its_limit_an_address_is_turned_away_at_once() {
    let mut port = Port::open(Limits { from_one: 8, ..PATIENT }).await;
    let address = port.address;

    let (_held, was_closed) = port
        .nobody_while(async {
            let mut held = Vec::new();
            for _ in 0..8 {
                held.push(TcpStream::connect(address).await.unwrap());
            }
            let was_closed = closed(TcpStream::connect(address).await.unwrap()).await;
            (held, was_closed)
        })
        .await;

    assert!(was_closed);
}

#[tokio::test]
async fn half_open_connections_keep_nobody_else_out() {
    // All of them are from one address here: the limit in all is what an attacker with many addresses meets.
    let mut port = Port::open(Limits { unfinished: 16, from_one: usize::MAX, ..PATIENT }).await;
    let address = port.address;
    let connector = Connector::new(&port.trust(), None).unwrap();

    let mut held = Vec::new();
    let first = port
        .nobody_while(async {
            for _ in 0..200 {
                held.push(TcpStream::connect(address).await.unwrap());
            }
            closed(held.remove(0)).await
        })
        .await;
    let (_, stream) = port.next_while(connector.dial("127.0.0.1", address.port())).await;

    assert!(first, "the oldest was given up");
    stream.unwrap();
}

#[tokio::test]
async fn in_plain_text_everybody_gets_in_and_nobody_is_known() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepted = accept(listener, None, PATIENT, Door::default()).unwrap().0.boxed();

    let (connection, stream) = tokio::join!(accepted.next(), TcpStream::connect(address));

    let local = stream.unwrap().local_addr().unwrap();
    let remote = connection.unwrap().unwrap().remote().clone();
    assert_eq!((remote.address, remote.agent), (local, None));
}

#[tokio::test]
async fn a_finished_connection_on_which_nobody_is_let_in_ends_and_another_one_lasts() {
    let strangers = StrangerBounds { within: Duration::from_millis(50), ..PATIENT.strangers };
    let mut port = Port::open(Limits { strangers, ..PATIENT }).await;
    let connector = Connector::new(&port.trust(), None).unwrap();
    let port_number = port.address.port();
    let mut next = async || {
        let (accepted, stream) = tokio::join!(port.accepted.next(), connector.dial("127.0.0.1", port_number));
        (accepted.unwrap().unwrap(), stream.unwrap())
    };
    let (mut stranger, _held) = next().await;
    let (mut known, mut far) = next().await;
    known.remote().let_in.note();

    let ended = stranger.read_u8().await.unwrap_err();

    assert!(ended.to_string().contains("nobody was let in on this connection within 50ms"), "{ended}");
    far.write_all(b"x").await.unwrap();
    far.flush().await.unwrap();
    assert_eq!(known.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn finished_connections_of_one_address_make_room_for_the_next() {
    let strangers = StrangerBounds { from_one: 2, ..PATIENT.strangers };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepted = accept(listener, None, Limits { strangers, ..PATIENT }, Door::default()).unwrap().0.boxed();
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (connection, stream) = tokio::join!(accepted.next(), TcpStream::connect(address));
        near.push(connection.unwrap().unwrap());
        far.push(stream.unwrap());
    }

    assert!(near[0].read_u8().await.is_err());
    far[1].write_all(b"x").await.unwrap();
    assert_eq!(near[1].read_u8().await.unwrap(), b'x');
}
