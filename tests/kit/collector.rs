//! A collector of traces: OTLP over HTTP, as OpenTelemetry's own take it, on loopback.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span as WireSpan, status};
use prost::Message;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::wait::until;

/// A span as a collector was told of it.
#[derive(Clone, Debug)]
pub struct Span {
    /// `service.name` of who recorded it.
    pub service: String,
    /// All that is known of who recorded it.
    pub resource: BTreeMap<String, String>,
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// Likewise; empty when it has none.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Likewise.
    pub end: u64,
    /// What else is known of it.
    pub attributes: BTreeMap<String, String>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

impl Span {
    /// What is known of it under this name; empty when nothing is.
    pub fn said(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

#[derive(Debug, Default)]
struct Heard {
    spans: Mutex<Vec<Span>>,
    headers: Mutex<HeaderMap>,
    answer: AtomicU16,
}

/// A running collector, gone with its value.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    /// The file with its certificate, if it speaks TLS.
    certificate: Option<PathBuf>,
    heard: Arc<Heard>,
    _stop: oneshot::Sender<()>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start() -> Self {
        Self::listen(None)
    }

    /// One that speaks TLS, by a certificate that is in a file of this folder: see [`Self::certificate`].
    ///
    /// # Panics
    /// When it cannot listen, or the folder cannot be written to.
    pub fn secure(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("there is chance");
        let named = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
        let certificate = named.self_signed(&key).expect("a certificate can be signed");
        let path = folder.join("collector.pem");
        let encoded = BASE64_STANDARD.encode(certificate.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
        std::fs::write(&path, pem).expect("the folder can be written to");
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("it was just made");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the usual versions")
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .expect("the key is the certificate's");
        Self::listen(Some((TlsAcceptor::from(Arc::new(config)), path)))
    }

    fn listen(tls: Option<(TlsAcceptor, PathBuf)>) -> Self {
        let (acceptor, certificate) = tls.unzip();
        let heard = Arc::new(Heard { answer: AtomicU16::new(200), ..Heard::default() });
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, acceptor, hears) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, certificate, heard, _stop: stop }
    }

    /// As `--otlp` takes it.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.certificate.is_some() { "https" } else { "http" }, self.address)
    }

    /// What `OTEL_EXPORTER_OTLP_CERTIFICATE` names, so that it is believed.
    ///
    /// # Panics
    /// When it speaks in plain text.
    pub fn certificate(&self) -> &Path {
        self.certificate.as_deref().expect("it speaks TLS")
    }

    /// From now on it answers so: with anything but 200 it takes nothing.
    pub fn answers(&self, status: u16) {
        self.heard.answer.store(status, Ordering::Relaxed);
    }

    /// What came with the last request.
    pub fn headers(&self) -> HeaderMap {
        lock(&self.heard.headers).clone()
    }

    /// All that it was told so far.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.heard.spans).clone()
    }

    /// The spans of one trace, by their beginnings, once there are these and, of each name, not more.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn trace(&self, trace: &str, names: &[&str]) -> Vec<Span> {
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        until(&format!("the spans {names:?} of {trace} are there, of {:#?}", self.spans()), async || {
            let mut spans = self.spans();
            spans.retain(|span| span.trace == trace);
            spans.sort_by_key(|span| (span.start, span.name != "task", span.end));
            let mut has: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            has.sort_unstable();
            (has == wanted).then_some(spans)
        })
        .await
    }

    /// This part of a span, once it has ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn part(&self, of: &Span, name: &str) -> Span {
        until(&format!("{name} of {of:?} has ended"), async || {
            self.spans().into_iter().find(|span| span.name == name && span.parent == of.id)
        })
        .await
    }

    /// The span that a task is, once it has ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn task(&self, id: &str) -> Span {
        until(&format!("{id} has ended"), async || {
            self.spans().into_iter().find(|span| span.name == "task" && span.said("haggle.task.id") == id)
        })
        .await
    }
}

async fn serve(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, heard: Arc<Heard>) {
    listener.set_nonblocking(true).expect("a socket need not block");
    let listener = TcpListener::from_std(listener).expect("the runtime takes a socket");
    while let Ok((stream, _)) = listener.accept().await {
        let (heard, tls) = (Arc::clone(&heard), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve_one(stream, heard).await,
                // Whoever does not believe it hangs up.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_one(stream, heard).await;
                    }
                }
            }
        });
    }
}

async fn serve_one(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, heard: Arc<Heard>) {
    let service = service_fn(|request| answer(Arc::clone(&heard), request));
    // Whoever is cut off tries again.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(heard: Arc<Heard>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let whole = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let is_packed = head.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    let whole = if is_packed { unpacked(&whole) } else { whole };
    let is_meant = head.method == Method::POST
        && head.uri.path() == "/v1/traces"
        && head.headers.get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let status = StatusCode::from_u16(heard.answer.load(Ordering::Relaxed)).expect("a test sets a status");
    let status = if is_meant { status } else { StatusCode::NOT_FOUND };
    *lock(&heard.headers) = head.headers;
    let told = ExportTraceServiceRequest::decode(whole).ok();
    let status = if told.is_some() { status } else { StatusCode::BAD_REQUEST };
    if let Some(told) = told.filter(|_| status == StatusCode::OK) {
        lock(&heard.spans).extend(spans(told));
    }
    let body = Bytes::from(ExportTraceServiceResponse::default().encode_to_vec());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

/// What a collector that hands spans on has packed: by the system's own program, which every machine of these tests has.
fn unpacked(packed: &[u8]) -> Bytes {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip can be started");
    let (mut input, packed) = (gzip.stdin.take().expect("it has an input"), packed.to_vec());
    // It may write before it has read everything.
    let writes = thread::spawn(move || input.write_all(&packed));
    let whole = gzip.wait_with_output().expect("gzip ends").stdout;
    let _ = writes.join();
    whole.into()
}

fn spans(told: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in told.resource_spans {
        let resource = texts(of_resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let of_scopes = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(of_scopes.map(|span| read(&resource, span)));
    }
    spans
}

fn read(resource: &BTreeMap<String, String>, span: WireSpan) -> Span {
    let failed = span.status.filter(|status| status.code == i32::from(status::StatusCode::Error));
    Span {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource: resource.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: texts(span.attributes),
        error: failed.map(|status| status.message),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|KeyValue { key, value, .. }| (key, text(value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
