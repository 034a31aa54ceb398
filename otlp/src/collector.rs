//! Which collector, and how much of all traces it is told.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use haggle_core::TraceId;
use http::Uri;
use http::uri::{Authority, Scheme};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where collectors take traces, below the URL that people know.
const TRACES: &str = "/v1/traces";

/// The standard's variables. Those of traces alone come first.
const ENDPOINTS: [(&str, bool); 2] =
    [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", true), ("OTEL_EXPORTER_OTLP_ENDPOINT", false)];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const CERTIFICATES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// The protocol that is spoken, as the standard calls it.
const PROTOCOL: &str = "http/protobuf";

/// A collector. What else it is told with each request, like a token, is in `OTEL_EXPORTER_OTLP_HEADERS` and nowhere here.
#[derive(Clone, Debug)]
pub struct Collector {
    url: Uri,
    /// `None`: in plain text.
    tls: Option<Arc<ClientConfig>>,
    /// Of which traces it is told.
    ratio: Ratio,
}

/// How many of all traces are recorded, from 0 to 1: always the same ones, whoever decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

/// Why something is no collector.
#[derive(Debug, thiserror::Error)]
pub enum BadCollector {
    /// It is no URL of this kind.
    #[error(
        "{0:?} is no URL of an OTLP collector: http:// or https://, a host, and a port, like http://127.0.0.1:4318"
    )]
    Url(String),
    /// Whoever lists processes would see it.
    #[error("the URL of a collector names no user or password: put them into OTEL_EXPORTER_OTLP_HEADERS")]
    Secret,
    /// It is no part of all.
    #[error("{0:?} is no number from 0 to 1")]
    Ratio(String),
    /// A file that it is to be checked with.
    #[error("the authorities of the collector in {path} cannot be read: {why}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A variable is wrong.
    #[error("{variable}: {source}")]
    Variable {
        /// Which.
        variable: &'static str,
        /// How.
        source: Box<BadCollector>,
    },
}

impl Collector {
    /// The collector at this URL, which is told of all traces. One without a path takes them at `/v1/traces`; over https it is
    /// believed by the web's authorities, unless `OTEL_EXPORTER_OTLP_CERTIFICATE` names others.
    ///
    /// # Errors
    /// When it is no URL of http or https, or carries a secret; or when the authorities cannot be read.
    pub fn new(url: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, BadCollector> {
        Self::at(url, false, env)
    }

    /// What the standard's variables say: `None` where they name no collector, or want it told nothing.
    ///
    /// # Errors
    /// As [`Self::new`], with the variable's name.
    pub fn of_env(env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, BadCollector> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let is_off = set(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set(EXPORTER).is_some_and(|value| value != "otlp");
        let named = ENDPOINTS.into_iter().find_map(|(name, is_whole)| Some((name, is_whole, set(name)?)));
        let Some((variable, is_whole, url)) = named.filter(|_| !is_off) else { return Ok(None) };
        if let Some(protocol) = PROTOCOLS.into_iter().find_map(set).filter(|protocol| protocol != PROTOCOL) {
            tracing::warn!(
                "no traces are recorded: {variable} is a collector to be spoken to by {protocol}, and {PROTOCOL} is what is spoken here"
            );
            return Ok(None);
        }
        let url = if is_whole { url } else { format!("{}{TRACES}", url.trim_end_matches('/')) };
        let bad = |source| BadCollector::Variable { variable, source: Box::new(source) };
        Self::at(&url, true, &env).map(Some).map_err(bad)
    }

    fn at(text: &str, is_whole: bool, env: impl Fn(&str) -> Option<String>) -> Result<Self, BadCollector> {
        let bad = || BadCollector::Url(text.to_owned());
        if text.contains('@') {
            // Before it is shown to anybody.
            return Err(BadCollector::Secret);
        }
        let url: Uri = text.parse().map_err(|_| bad())?;
        let scheme = url.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme)).ok_or_else(bad)?;
        let authority = url.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(bad)?;
        // A port that is no number is passed over by who parses it.
        if authority.port_u16().is_none() && !is_bare(authority) {
            return Err(bad());
        }
        let certificate = CERTIFICATES.into_iter().find_map(&env).filter(|path| !path.is_empty());
        let tls = if *scheme == Scheme::HTTPS { Some(Arc::new(believing(certificate.as_deref())?)) } else { None };
        let is_short = matches!(url.path(), "" | "/") && url.query().is_none() && !is_whole;
        let url = if is_short { format!("{scheme}://{authority}{TRACES}").parse().map_err(|_| bad())? } else { url };
        Ok(Self { url, tls, ratio: Ratio::ALL })
    }

    /// The same, told of so many traces.
    #[must_use]
    pub fn told_of(self, ratio: Ratio) -> Self {
        Self { ratio, ..self }
    }

    pub(crate) fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// Where it takes traces.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }
}

/// Whether it names a host and nothing else.
fn is_bare(authority: &Authority) -> bool {
    authority.as_str() == authority.host()
}

/// Believes those that a file names, else whom browsers believe.
fn believing(file: Option<&str>) -> Result<ClientConfig, BadCollector> {
    let roots = match file {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(file) => read(Path::new(file))?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the usual versions");
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn read(path: &Path) -> Result<RootCertStore, BadCollector> {
    let bad = |why: &dyn fmt::Display| BadCollector::Authorities { path: path.to_owned(), why: why.to_string() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))? {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(bad(&io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    Ok(roots)
}

impl Ratio {
    /// Every one.
    pub const ALL: Self = Self(1.0);

    /// Whether a trace is among them: by its lower half, as OpenTelemetry's sampler goes by it.
    pub fn includes(self, trace: TraceId) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
        let low = (trace.get() as u64) >> 1;
        #[expect(clippy::cast_precision_loss, reason = "no ratio is finer than that")]
        let place = low as f64 / (1_u64 << 63) as f64;
        place < self.0
    }
}

impl FromStr for Ratio {
    type Err = BadCollector;

    fn from_str(text: &str) -> Result<Self, BadCollector> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or_else(|| BadCollector::Ratio(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{ClusterId, FrameworkId, TaskId};

    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn url(text: &str) -> String {
        Collector::new(text, nothing).unwrap().url().to_string()
    }

    fn of_env(set: &[(&str, &str)]) -> Result<Option<Collector>, BadCollector> {
        Collector::of_env(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn traces_go_below_a_url_without_a_path() {
        assert_eq!(url("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(url("https://otel.example/"), "https://otel.example/v1/traces");
        assert_eq!(url("http://[::1]:4318/mine"), "http://[::1]:4318/mine");
    }

    #[test]
    fn what_is_no_url_of_a_collector_is_refused() {
        for wrong in ["", "127.0.0.1:4318", "grpc://a:4317", "http://", "http://a:x", "http://a:70000", "http://a b"] {
            assert!(matches!(Collector::new(wrong, nothing), Err(BadCollector::Url(_))), "{wrong}");
        }
    }

    #[test]
    fn a_url_with_a_secret_is_refused_and_not_shown() {
        let error = Collector::new("http://user:hunter2@a:4318", nothing).unwrap_err();

        assert!(matches!(error, BadCollector::Secret));
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn the_variables_of_the_standard_name_one() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318/base/");
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4318");

        let named = |set: &[_]| of_env(set).unwrap().map(|collector| collector.url().to_string());

        assert_eq!(named(&[]), None);
        assert_eq!(named(&[endpoint]).as_deref(), Some("http://a:4318/base/v1/traces"));
        assert_eq!(named(&[endpoint, whole]).as_deref(), Some("http://b:4318/"));
        assert_eq!(named(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(named(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
        assert_eq!(named(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), None);
        assert!(named(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).is_some());
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error = of_env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")]).unwrap_err();

        assert!(error.to_string().starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: \"nowhere"), "{error}");
    }

    #[test]
    fn authorities_that_cannot_be_read_are_told_of_at_once() {
        let missing = |name: &str| name.ends_with("OTLP_CERTIFICATE").then(|| "/nowhere/ca.pem".to_owned());

        assert!(matches!(Collector::new("https://a:4318", missing), Err(BadCollector::Authorities { .. })));
        assert!(Collector::new("http://a:4318", missing).is_ok());
    }

    #[test]
    fn a_ratio_is_held_and_is_the_same_for_everybody() {
        let traces = |count| {
            (0..count).map(|number| TraceId::of_task(ClusterId(1), TaskId { framework: FrameworkId(1), number }))
        };
        let [none, tenth, half, all]: [Ratio; 4] = ["0", "0.1", "0.5", "1"].map(|text| text.parse().unwrap());

        let of = |ratio: Ratio| traces(10_000).filter(|trace| ratio.includes(*trace)).count();

        assert_eq!((of(none), of(all)), (0, 10_000));
        assert!((900..1_100).contains(&of(tenth)), "{}", of(tenth));
        assert!(traces(1_000).filter(|trace| tenth.includes(*trace)).all(|trace| half.includes(trace)));
        for wrong in ["", "-0.1", "1.1", "NaN", "10%"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }
}
