//! A server that answers as a test wants, on a port of its own.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What is asked, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The path, with what follows a question mark.
    pub(crate) path: String,
    head: String,
    /// What came behind the head, as text.
    pub(crate) body: String,
}

impl Asked {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What is answered.
pub(crate) struct Reply {
    bytes: Vec<u8>,
    /// Whether the connection stays open, and nothing more comes.
    stays: bool,
}

impl Reply {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::with("200 OK", &[], body)
    }

    pub(crate) fn with(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = format!("content-length: {}\r\n", body.len());
        Self::raw(&format!("HTTP/1.1 {status}\r\n{headers}{length}connection: close\r\n\r\n"), body)
    }

    pub(crate) fn to(place: &str) -> Self {
        Self::with("302 Found", &[("location", place)], b"")
    }

    /// A head as it is, and what follows.
    pub(crate) fn raw(head: &str, body: &[u8]) -> Self {
        Self { bytes: [head.as_bytes(), body].concat(), stays: false }
    }

    pub(crate) fn and_then_nothing(mut self) -> Self {
        self.stays = true;
        self
    }
}

/// A server, gone with its value.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// Its certificate in PEM, if it speaks TLS.
    pub(crate) certificate: Option<String>,
    seen: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn plain(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, answer).await
    }

    /// As `localhost`.
    pub(crate) async fn secure(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::secure_as("localhost", answer).await
    }

    /// By a certificate of this name.
    pub(crate) async fn secure_as(name: &str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .unwrap();
        Self::start(Some((TlsAcceptor::from(Arc::new(config)), pem(certificate.der()))), answer).await
    }

    async fn start(
        tls: Option<(TlsAcceptor, String)>,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, answer): (Arc<Mutex<Vec<Asked>>>, _) = (Arc::default(), Arc::new(answer));
        let (acceptor, certificate) = tls.unzip();
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer, noted) = (acceptor.clone(), Arc::clone(&answer), Arc::clone(&noted));
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &*answer, &noted).await;
                            }
                        }
                        None => serve(stream, &*answer, &noted).await,
                    }
                });
            }
        });
        Self { port, certificate, seen, task }
    }

    /// What it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn pem(certificate: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &(dyn Fn(&Asked) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Asked>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let mut asked = Asked { path, head, body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    asked.body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().unwrap().push(asked.clone());
    let reply = answer(&asked);
    // Whoever asked may have hung up.
    let _ = stream.write_all(&reply.bytes).await;
    let _ = stream.flush().await;
    if reply.stays {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}
