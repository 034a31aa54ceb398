//! `haggle proxy`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use haggle_sdk::{Client, Principal};
use haggle_tls::{OwnerTokens, PrivateFolderError, Secret, Token, TokenId, TokenKind};
use tokio::net::TcpListener;
use tracing::debug;

use super::Verdict;
use crate::args::ProxyArgs;
use crate::error::CommandError;
use crate::proxy::{Door, serve};
use crate::signals::Signals;
use crate::target::Target;
use crate::{logging, output};

/// How long the token's text says that it lives. It ends with the proxy, which forgets it.
const LIVES: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

pub(super) async fn run(target: &Target, args: ProxyArgs) -> Verdict {
    logging::start(&args.log, "warn")?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;
    let tokens = OwnerTokens::of_user().ok_or(CommandError::NoHome)?;
    let Opened { client, who, listener, address, token } = Opened::on(target, args.listen).await?;
    let left = Left::publish(tokens, address, &token)?;
    let url = format!("http://{address}");
    output::bytes(welcome(&url, &client.url(), &who, &left).as_bytes())?;
    tokio::select! {
        () = signals.next() => Ok(0),
        never = serve(listener, Door::new(&token), client) => match never {},
    }
}

/// A port that listens, with a token of its own, and where it leads.
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) who: Principal,
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) token: Token,
}

impl Opened {
    pub(super) async fn on(target: &Target, listen_on: SocketAddr) -> Result<Self, CommandError> {
        let client = super::connect(target).await?;
        // Whoever is not let in hears it now, and not with each request.
        let who = client.whoami().await?;
        let cluster = client.master().await?.cluster;
        let listen = |source| CommandError::Listen { address: listen_on, source };
        let listener = TcpListener::bind(listen_on).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let token = Token {
            kind: TokenKind::Owner,
            cluster,
            addresses: vec![address.to_string()],
            authority: None,
            id: TokenId::random(),
            secret: Secret::random(),
            expires: SystemTime::now() + LIVES,
        };
        Ok(Self { client, who, listener, address, token })
    }
}

/// Where the token was left; taken away again in the end.
struct Left {
    tokens: OwnerTokens,
    listening: SocketAddr,
    id: TokenId,
}

impl Left {
    fn publish(tokens: OwnerTokens, listening: SocketAddr, token: &Token) -> Result<Self, PrivateFolderError> {
        tokens.publish(listening, token)?;
        let left = Self { tokens, listening, id: token.id };
        left.tokens.publish_header(listening, token)?;
        Ok(left)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Err(error) = self.tokens.withdraw(self.listening, self.id) {
            debug!("the token of the proxy is still there, and lets nobody in: {error}");
        }
    }
}

/// What listens, for whom, and what to type. No secret: the files have it.
fn welcome(url: &str, master: &str, who: &Principal, left: &Left) -> String {
    let who = output::printable(&format!("{} ({})", who.name, who.kind));
    let files = [left.tokens.header_file(left.listening), left.tokens.file(left.listening)];
    let [header, token] = files.map(|file| quoted(&file));
    format!(
        "\
{url} carries your requests to {master} as {who}.

haggle --master {url} ps
curl --http2-prior-knowledge -H @{header} {url}/
In a browser: any user, and as the password what is in {token}

Ctrl-C ends it.
"
    )
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:\\".contains(letter);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
