//! Certificates that are none of this cluster's, or not any more.

use haggle_core::AgentId;
use haggle_proto::v1;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_tls::{Identity, explain};
use tonic::Code;

use crate::kit::{ask, channel, joined, master, master_in, of_another_authority, token};

#[tokio::test]
async fn without_a_certificate_and_a_token_nothing_is_answered() {
    let master = master().await;

    let refused = ask(channel(&master, &master.owner_token().trust(), None), None).await.unwrap_err();

    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("haggle login"), "{refused}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_connect_and_hears_why() {
    let master = master().await;
    let stranger = of_another_authority(&master, AgentId(1));

    let channel = channel(&master, &master.owner_token().trust(), Some(Identity::new(&stranger)));
    let refused = ask(channel, Some(master.owner_token())).await.unwrap_err();

    let why = explain(&refused).unwrap_or_else(|| panic!("{refused:#?}"));
    assert!(why.contains("refused the certificate of this agent: it is none"), "{why}");
}

#[tokio::test]
async fn an_agents_certificate_is_no_operators_token() {
    let master = master().await;
    let credentials = joined(&master).await;

    let channel = channel(&master, &credentials.trust(), Some(Identity::new(&credentials)));
    let refused = OperatorClient::new(channel).list_agents(v1::ListAgentsRequest {}).await.unwrap_err();

    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn a_token_of_another_cluster_does_not_even_leave() {
    let (ours, other) = (master().await, master().await);

    let refused = ask(channel(&ours, &other.owner_token().trust(), None), Some(other.owner_token())).await.unwrap_err();

    let why = explain(&refused).unwrap();
    assert!(why.contains("it is of another authority"), "{why}");
}

#[tokio::test]
async fn a_master_that_was_made_anew_is_not_taken_for_the_old_one() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = master_in(first.path()).await;
    let token = old.owner_token().clone();
    old.stop().await;

    let new = master_in(second.path()).await;
    let refused = ask(channel(&new, &token.trust(), None), Some(&token)).await.unwrap_err();

    let why = explain(&refused).unwrap();
    assert!(why.contains("the master was made anew"), "{why}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_a_masters_keys_and_a_folder_that_others_can_is_refused() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    master_in(state.path()).await.stop().await;
    let folder = state.path().join("pki");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;

    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();

    // The authority, and what passes of artifacts are known by.
    assert_eq!((mode(&folder), files.len()), (0o700, 2));
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");

    fs::set_permissions(folder.join("authority.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    let config = haggle_master::Config {
        state: Some(state.path().to_owned()),
        owner_tokens: None,
        tls: haggle_master::Tls { always: true, ..Default::default() },
        ..haggle_master::Config::new(crate::kit::loopback())
    };
    let refused = haggle_master::Master::start(config).await.unwrap_err().to_string();
    assert!(refused.contains("authority.pem holds secrets and has mode 0640"), "{refused}");
}

#[tokio::test]
async fn an_operators_certificate_that_names_a_host_alone_keeps_nobody_of_the_machine_out_and_nobody_else_in() {
    let brought = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/brought").join(name);
    let folder = tempfile::tempdir().unwrap();
    let chain = folder.path().join("chain.pem");
    let texts = ["host.pem", "host-ca.pem"].map(|name| std::fs::read_to_string(brought(name)).unwrap());
    std::fs::write(&chain, texts.concat()).unwrap();
    let certificate = haggle_master::CertificateFiles { chain, key: brought("host.key") };
    let config = haggle_master::Config {
        owner_tokens: None,
        advertise: vec!["master.example".parse().unwrap()],
        tls: haggle_master::Tls { certificate: Some(certificate), ..Default::default() },
        ..haggle_master::Config::new(crate::kit::loopback())
    };
    let master = haggle_master::Master::start(config).await.unwrap();
    let owner = master.owner_token();

    // Its own key is what its user knows it by.
    ask(channel(&master, &owner.trust(), None), Some(owner)).await.unwrap();

    // Everybody else knows the authority, which may have signed for many hosts: the name must be that of the host.
    let made = token(&master, haggle_proto::v1::PrincipalKind::Operator, None).await;
    assert_eq!(made.addresses, [format!("master.example:{}", master.addr().port())]);
    let refused = ask(channel(&master, &made.trust(), None), Some(&made)).await.unwrap_err();
    let why = haggle_tls::explain(&refused).unwrap();
    assert!(why.contains("names neither this cluster nor the host"), "{why}");
}
