//! How an agent is given its certificate, and the next one.

use std::time::Duration;

use haggle_core::{AgentId, ClusterId, Member};
use haggle_proto::v1;
use haggle_proto::v1::join_client::JoinClient;
use haggle_tls::{Credentials, CredentialsError, Identity, Pass, PrivateKey, Token, distrust};
use tokio::time::timeout;
use tonic::transport::Uri;
use tonic::{Code, Response, Status};

use crate::dial::{Connection, DialError, connect};

/// How long a master may take to answer: it writes down what it decides.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinError {
    /// Nobody could give one. Trying again may help.
    #[error("{0}")]
    Unanswered(String),
    /// Those who answer are not believed to be masters. Trying again does not help.
    #[error("{0}")]
    Distrusted(String),
    /// Trying again does not help.
    #[error("{0}")]
    Refused(String),
}

impl From<DialError> for JoinError {
    fn from(error: DialError) -> Self {
        match &error {
            DialError::Connect(source) => match distrust(source) {
                Some(why) => Self::Distrusted(why),
                None => Self::Unanswered(error.to_string()),
            },
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<Status> for JoinError {
    fn from(status: Status) -> Self {
        let said = status.message().to_owned();
        match status.code() {
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::NotFound
            | Code::Unimplemented => Self::Refused(said),
            code => Self::Unanswered(format!("the master said: {said} ({code:?})")),
        }
    }
}

/// Trades a token for a certificate of this key, at the first of the masters that answers.
///
/// # Errors
/// When none answers, or one refuses.
pub(crate) async fn enrol(masters: &[Uri], token: &Token, key: &PrivateKey) -> Result<Credentials, JoinError> {
    let request = v1::EnrollRequest { request: key.request() };
    let pass = Pass::token(token);
    let enrolled = of_any(masters, &pass, |mut join| {
        let request = request.clone();
        async move { join.enroll(request).await }
    });
    let credentials = read(&enrolled.await?, key)?;
    if credentials.member().cluster != token.cluster {
        return Err(of_another(credentials.member(), token.cluster));
    }
    Ok(credentials)
}

/// Trades a certificate that holds for the next one: as this agent, so that strangers who ask for the same are not in its
/// way, or as one of them, should that one be refused.
///
/// # Errors
/// As [`renew_as_stranger`].
pub(crate) async fn renew(masters: &[Uri], old: &Credentials) -> Result<Credentials, JoinError> {
    match renew_by(masters, old, &Pass::certified(old, Identity::new(old))).await {
        Err(JoinError::Unanswered(_) | JoinError::Distrusted(_)) => renew_as_stranger(masters, old).await,
        answered => answered,
    }
}

/// Trades a certificate that may not hold any more for the next one. The request is signed by the key that the old one is of;
/// showing that as well would fail.
///
/// # Errors
/// When no master answers, or one refuses.
pub(crate) async fn renew_as_stranger(masters: &[Uri], old: &Credentials) -> Result<Credentials, JoinError> {
    renew_by(masters, old, &Pass::trusting(old.trust())).await
}

async fn renew_by(masters: &[Uri], old: &Credentials, pass: &Pass) -> Result<Credentials, JoinError> {
    let certificate = old.certificate().der().to_vec();
    let request = v1::RenewRequest { certificate, request: old.key().request() };
    let enrolled = of_any(masters, pass, |mut join| {
        let request = request.clone();
        async move { join.renew(request).await }
    });
    let credentials = read(&enrolled.await?, old.key())?;
    if credentials.member() != old.member() {
        return Err(of_another(credentials.member(), old.member().cluster));
    }
    Ok(credentials)
}

async fn of_any<F>(
    masters: &[Uri],
    pass: &Pass,
    ask: impl Fn(JoinClient<Connection>) -> F,
) -> Result<v1::Enrolled, JoinError>
where
    F: Future<Output = Result<Response<v1::Enrolled>, Status>>,
{
    let (mut unanswered, mut distrusted) = (None, None);
    for master in masters {
        let asked = async { Ok(ask(JoinClient::new(connect(master, pass).await?)).await?.into_inner()) };
        let late = || Err(JoinError::Unanswered(format!("{master} did not answer within {ANSWER_TIMEOUT:?}")));
        match timeout(ANSWER_TIMEOUT, asked).await.unwrap_or_else(|_| late()) {
            Err(JoinError::Unanswered(why)) => unanswered = Some(JoinError::Unanswered(why)),
            // An address may be another machine's by now, or in the network of this one.
            Err(JoinError::Distrusted(why)) => distrusted = Some(JoinError::Distrusted(why)),
            answered => return answered,
        }
    }
    let nobody = || JoinError::Unanswered("no master is named".to_owned());
    Err(unanswered.or(distrusted).unwrap_or_else(nobody))
}

fn read(enrolled: &v1::Enrolled, key: &PrivateKey) -> Result<Credentials, JoinError> {
    let unusable = |error: CredentialsError| {
        JoinError::Refused(format!("the master gave a certificate that cannot be used: {error}"))
    };
    Credentials::new(key.clone(), &enrolled.certificate, &enrolled.authorities).map_err(unusable)
}

fn of_another(member: Member<AgentId>, wanted: ClusterId) -> JoinError {
    let Member { cluster, id } = member;
    JoinError::Refused(format!("the master gave a certificate of {id} of {cluster}, wanted was one of {wanted}"))
}
