//! How peers of a cluster know each other: tokens, certificates, and connections that check both.
//!
//! ```text
//! operator ── Token (text) ──► joiner ── Connector ──► master      the token's fingerprint proves the master
//!                              joiner ── request  ──► Authority    a token's secret lets in, once
//!                              agent  ◄─ certificate ─┘            from then on it proves the agent
//! ```
//!
//! - [`Token`] is what people copy; [`Bearer`] the part of it that is shown to a master.
//! - [`Connector`] dials a master and believes it by a [`Trust`]; it shows an [`Identity`], which may change.
//! - [`Pass`] is both, and a token, as one connection has them; [`OwnerTokens`] has those of a user's masters on this machine,
//!   which is dialled by [`Loopback`].
//! - [`Authorities`] are those that a cluster believes, of which one [`Authority`] signs; [`ServerIdentity`] is the
//!   certificate that a master shows. [`Pins`] are those that the holder of a token believes, as they change.
//! - [`Seal`] hides from etcd what several masters keep there.
//! - [`PrivateFolder`] keeps what nobody else may read.
//! - [`Strangers`] bounds connections on which nobody has been let in yet.
//!
//! Only TLS 1.3, only ring. Wherever a certificate is made or judged outside of a handshake, time is an argument.

mod argument;
mod authorities;
mod authority;
mod certificate;
mod connector;
mod credentials;
mod der;
mod explain;
mod fingerprint;
mod key;
mod loopback;
mod owner;
mod pass;
mod pem;
mod pins;
mod private;
mod replace;
mod request;
mod seal;
mod server;
mod strangers;
mod stream;
mod token;
mod trust;
mod verify;

pub use argument::{ArgumentError, secret_argument};
pub use authorities::{Authorities, AuthoritiesError, NotAuthorities, UnderWay};
pub use authority::{AGENT_RENEWABLE, Authority, AuthorityError, LEAF_LIFE, RenewalError};
pub use certificate::{Certificate, CertificateError};
pub use connector::{ConnectError, Connector};
pub use credentials::{Credentials, CredentialsError, Identity};
pub use explain::{distrust, explain, refusal, untimely};
pub use fingerprint::Fingerprint;
pub use key::{KeyError, PrivateKey};
pub use loopback::Loopback;
pub use owner::OwnerTokens;
pub use pass::{Authorized, Pass};
pub use pem::certificates_from_pem;
pub use pins::Pins;
pub use private::{PrivateFolder, PrivateFolderError};
pub use replace::replace_file;
pub use request::{REQUEST_MAX, RequestError};
pub use seal::{Seal, SealError, SealFileError};
pub use server::{ServerCertificate, ServerIdentity, agent_of, server_config};
pub use strangers::{LetIn, StrangerBounds, Strangers, Tally, Visit};
pub use stream::Stream;
pub use token::{Bearer, NotABearer, Secret, Token, TokenError, TokenId, TokenKind};
pub use trust::{Trust, TrustError};
pub use verify::Distrust;

use std::sync::{Arc, LazyLock};

use haggle_core::ClusterId;
use rustls::crypto::{CryptoProvider, ring};

/// What the masters of a cluster are called in certificates, whatever their hosts are.
pub fn master_name(cluster: ClusterId) -> String {
    format!("master.{:032x}.haggle", cluster.0)
}

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}
