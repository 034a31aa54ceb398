//! Who gives tokens for a registry: as Docker's registry believes them, to whoever shows an identity token.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// For whom the tokens are, and by whom.
const SERVICE: &str = "registry-of-a-test";

/// How long a token is good, in seconds.
const LIFE: u64 = 300;

/// A certificate for one name and its key, both in PEM in files of this folder.
///
/// # Panics
/// When the folder cannot be written to.
pub fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (key, der) = self_signed(name);
    let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    fs::write(&files.0, pem("CERTIFICATE", &der)).expect("the folder can be written to");
    fs::write(&files.1, pem("PRIVATE KEY", &key.serialize_der())).expect("the folder can be written to");
    files
}

fn self_signed(name: &str) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().expect("there is chance");
    let named = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
    let der = named.self_signed(&key).expect("a certificate can be signed").der().to_vec();
    (key, der)
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", BASE64_STANDARD.encode(der))
}

/// A running service, gone with its value. It gives tokens for whatever is asked, by OAuth 2 alone.
#[derive(Debug)]
pub struct TokenService {
    address: SocketAddr,
    authority: PathBuf,
    signer: Arc<Signer>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Signer {
    /// What whoever may have tokens shows.
    identity: String,
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    asked: Mutex<Vec<String>>,
}

impl TokenService {
    /// Starts one that gives tokens for this identity token. What it signs with is certified by a file of this folder.
    ///
    /// # Panics
    /// When it cannot listen, or the folder cannot be written to.
    pub async fn start(folder: &Path, identity: &str) -> Self {
        let (key, certificate) = self_signed(SERVICE);
        let authority = folder.join("tokens.pem");
        fs::write(&authority, pem("CERTIFICATE", &certificate)).expect("the folder can be written to");
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &SystemRandom::new());
        let key = key.expect("it was just made");
        let signer = Arc::new(Signer { identity: identity.to_owned(), key, certificate, asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let signs = Arc::clone(&signer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let signs = Arc::clone(&signs);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&signs), request));
                    // Whoever hangs up asks again.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, authority, signer, task }
    }

    /// Where it is.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What Docker's registry is configured with, so that it sends whoever asks it here.
    pub fn configuration(&self) -> String {
        format!(
            "auth: {{ token: {{ realm: \"http://{}/token\", service: {SERVICE}, issuer: {SERVICE}, rootcertbundle: {:?} }} }}\n",
            self.address,
            self.authority.display().to_string()
        )
    }

    /// The scopes of the tokens that it gave so far.
    pub fn given(&self) -> Vec<String> {
        self.signer.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(signer: Arc<Signer>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let form = String::from_utf8_lossy(&body).into_owned();
    let field = |name: &str| {
        let pair = form.split('&').find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name));
        pair.map_or_else(String::new, |(_, value)| value.replace("%3A", ":").replace("%2F", "/").replace("%2C", ","))
    };
    let is_known = head.method == Method::POST
        && field("grant_type") == "refresh_token"
        && field("refresh_token") == signer.identity
        && field("service") == SERVICE;
    let (status, said) = if is_known {
        let token = signer.token(&field("scope"));
        (StatusCode::OK, json!({ "access_token": token, "expires_in": LIFE }).to_string())
    } else {
        (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_grant" }).to_string())
    };
    let mut response = Response::new(Full::new(said.into()));
    *response.status_mut() = status;
    Ok(response)
}

impl Signer {
    /// A token for a scope like `repository:team/app:pull,push`.
    fn token(&self, scope: &str) -> String {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(scope.to_owned());
        let mut parts = scope.splitn(3, ':');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (kind, name, actions) = (part(), part(), part());
        let actions: Vec<&str> = actions.split(',').collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let head = json!({ "typ": "JWT", "alg": "ES256", "x5c": [BASE64_STANDARD.encode(&self.certificate)] });
        let claims = json!({
            "iss": SERVICE, "aud": SERVICE, "sub": "ada", "jti": "1", "iat": now, "nbf": now - 1, "exp": now + LIFE,
            "access": [{ "type": kind, "name": name, "actions": actions }],
        });
        let [head, claims] = [head, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("there is chance");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
