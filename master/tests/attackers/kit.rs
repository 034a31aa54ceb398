//! A master that speaks TLS, and ways to speak to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

use haggle_core::AgentId;
use haggle_master::{Config, Master, Tls};
use haggle_proto::v1;
use haggle_proto::v1::join_client::JoinClient;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_tls::{Authority, Connector, Credentials, Identity, PrivateKey, Token, Trust};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub(crate) fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// One that keeps nothing.
pub(crate) async fn master() -> Master {
    Master::start(config()).await.unwrap()
}

pub(crate) async fn master_in(state: &Path) -> Master {
    Master::start(Config { state: Some(state.to_owned()), ..config() }).await.unwrap()
}

fn config() -> Config {
    Config { tls: Tls { always: true, ..Tls::default() }, owner_tokens: None, ..Config::new(loopback()) }
}

/// A connection that is made at the first call.
pub(crate) fn channel(master: &Master, trust: &Trust, identity: Option<Identity>) -> Channel {
    let connector = Connector::new(trust, identity).unwrap();
    Endpoint::from_shared(format!("http://{}", master.addr())).unwrap().connect_with_connector_lazy(connector)
}

/// A call that shows a token.
pub(crate) fn bearing<T>(token: &Token, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.bearer().authorization().parse().unwrap());
    request
}

/// Asks what anybody may who is known.
pub(crate) async fn ask(channel: Channel, token: Option<&Token>) -> Result<v1::MasterInfo, Status> {
    let mut request = Request::new(v1::GetMasterRequest {});
    if let Some(token) = token {
        request = bearing(token, v1::GetMasterRequest {});
    }
    Ok(OperatorClient::new(channel).get_master(request).await?.into_inner())
}

/// A token that the master's owner makes.
pub(crate) async fn token(master: &Master, kind: v1::PrincipalKind, uses: Option<u32>) -> Token {
    let owner = master.owner_token();
    let wanted = v1::CreateTokenRequest { kind: kind.into(), uses, ..Default::default() };
    let mut operator = OperatorClient::new(channel(master, &owner.trust(), None));
    operator.create_token(bearing(owner, wanted)).await.unwrap().into_inner().text.parse().unwrap()
}

/// Joins with this key.
pub(crate) async fn join(master: &Master, token: &Token, key: &PrivateKey) -> Result<Credentials, Status> {
    let mut client = JoinClient::new(channel(master, &token.trust(), None));
    let wanted = v1::EnrollRequest { request: key.request() };
    let enrolled = client.enroll(bearing(token, wanted)).await?.into_inner();
    let credentials = Credentials::new(key.clone(), &enrolled.certificate, &enrolled.authorities).unwrap();
    assert_eq!(enrolled.member.unwrap().id, credentials.member().id.0);
    Ok(credentials)
}

/// An agent that has joined by a token of its own.
pub(crate) async fn joined(master: &Master) -> Credentials {
    let token = token(master, v1::PrincipalKind::Agent, None).await;
    join(master, &token, &PrivateKey::generate()).await.unwrap()
}

pub(crate) async fn renew(master: &Master, certificate: &[u8], request: Vec<u8>) -> Result<v1::Enrolled, Status> {
    let mut client = JoinClient::new(channel(master, &master.owner_token().trust(), None));
    let wanted = v1::RenewRequest { certificate: certificate.to_vec(), request };
    Ok(client.renew(wanted).await?.into_inner())
}

/// An agent of another authority, for the cluster of this master.
pub(crate) fn of_another_authority(master: &Master, agent: AgentId) -> Credentials {
    let now = SystemTime::now();
    let (authority, _) = Authority::make(master.owner_token().cluster, now);
    let key = PrivateKey::generate();
    let certificate = authority.agent(agent, &key.request(), now).unwrap();
    Credentials::new(key, certificate.der(), &[authority.certificate().der()]).unwrap()
}
