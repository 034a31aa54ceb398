//! How others reach a master, and how it proves itself to them.

use std::path::PathBuf;

use clap::Args;
use haggle_master::{Advertised, CertificateFiles, Tls};

/// What makes a master reachable from other machines.
#[derive(Args, Debug)]
#[command(next_help_heading = "Other machines")]
pub(crate) struct TlsArgs {
    /// A name or an address under which others reach this master, for tokens and its certificate; repeatable, the best one
    /// first [default: where it listens; for 0.0.0.0 the machine's addresses]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = advertised)]
    pub(crate) advertise: Vec<Advertised>,
    /// Speak TLS on loopback too; elsewhere a master never speaks anything else
    #[arg(long = "tls")]
    always: bool,
    /// Show this certificate instead of one by the cluster's own authority: PEM, with its chain up to the authority that
    /// clients are told to believe; read again each minute
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Know agents also by certificates that these authorities signed, PEM
    #[arg(long = "tls-client-ca", value_name = "FILE")]
    client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// What is meant.
    pub(crate) fn tls(self) -> Tls {
        let certificate = self.tls_cert.zip(self.tls_key).map(|(chain, key)| CertificateFiles { chain, key });
        Tls { always: self.always, certificate, client_authorities: self.client_ca }
    }
}

/// A URL does too: what it says beyond the address goes without saying.
fn advertised(text: &str) -> Result<Advertised, String> {
    let address = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    address.trim_end_matches('/').parse().map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        tls: TlsArgs,
    }

    fn read_line(line: &str) -> Result<TlsArgs, String> {
        Line::try_parse_from(line.split(' ')).map(|line| line.tls).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_told_one_by_one_and_urls_will_do() {
        let args = read_line("haggle --advertise a.example --advertise http://10.0.0.1:5051/").unwrap();

        assert_eq!(args.advertise, ["a.example".parse().unwrap(), "10.0.0.1:5051".parse().unwrap()]);
        assert!(!args.tls().always);
        assert!(read_line("haggle --advertise a:b").unwrap_err().contains("is not a host"));
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let certificate = read_line("haggle --tls-cert c.pem --tls-key k.pem").unwrap().tls().certificate.unwrap();

        assert_eq!((certificate.chain, certificate.key), ("c.pem".into(), "k.pem".into()));
        assert!(read_line("haggle --tls-cert c.pem").is_err() && read_line("haggle --tls-key k.pem").is_err());
    }
}
