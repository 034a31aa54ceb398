//! Who may do what: the guard, tokens, and what becomes of those who have none.

use std::time::Duration;

use haggle_core::access::Verb;
use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::v1::{OutputStream, PrincipalKind, TaskState};
use haggle_tls::{OwnerTokens, Token};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use crate::peers::{
    self, Agent, Framework, Shows, Wire, agents, artifacts, loopback, operator, spec, tasks, upload_on, whole, wire,
};

async fn master() -> Master {
    Master::start(Config::new(loopback())).await.unwrap()
}

/// A token that is asked for.
pub(crate) fn wanted(kind: PrincipalKind, name: &str, roles: &[&str]) -> v1::CreateTokenRequest {
    v1::CreateTokenRequest {
        kind: kind.into(),
        name: name.to_owned(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ..Default::default()
    }
}

pub(crate) async fn create(master: &Master, wanted: v1::CreateTokenRequest) -> v1::CreateTokenResponse {
    operator(master).await.create_token(wanted).await.unwrap().into_inner()
}

pub(crate) fn shows(text: &str) -> Shows {
    Shows(Some(format!("Bearer {text}")))
}

/// A connection of somebody who has just been given a token.
pub(crate) async fn newcomer(master: &Master, kind: PrincipalKind, name: &str, roles: &[&str]) -> (Wire, v1::Token) {
    let made = create(master, wanted(kind, name, roles)).await;
    (wire(master, shows(&made.text)).await, made.token.unwrap())
}

pub(crate) async fn who_am_i(wire: Wire) -> Result<v1::Principal, Status> {
    Ok(OperatorClient::new(wire).who_am_i(v1::WhoAmIRequest {}).await?.into_inner())
}

/// What any call is told that shows this.
async fn refused(master: &Master, shows: Shows) -> Status {
    who_am_i(wire(master, shows).await).await.unwrap_err()
}

/// Calls something with an empty message, which says nothing but that it was let in.
async fn call(wire: Wire, rpc: &str) -> Code {
    let mut client = tonic::client::Grpc::new(wire);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<v1::WhoAmIRequest, v1::WhoAmIRequest>::default();
    let path = PathAndQuery::try_from(format!("/haggle.v1.{rpc}")).unwrap();
    match client.server_streaming(Request::new(v1::WhoAmIRequest {}), path, codec).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn who_shows_nothing_is_let_into_no_call_but_a_renewal() {
    let master = master().await;

    for verb in Verb::ALL.iter().filter(|verb| !verb.is_open()) {
        let Some(rpc) = verb.rpc() else { continue };
        let code = call(wire(&master, Shows(None)).await, rpc).await;
        // One master alone answers nothing that masters ask of each other, and in plain text nobody joins: both by the
        // same guard.
        assert_eq!(code, Code::Unauthenticated, "{rpc}");
    }
    let told = refused(&master, Shows(None)).await;
    assert!(told.message().contains("haggle login") && told.message().contains("HAGGLE_TOKEN"), "{told}");
}

#[tokio::test]
async fn every_call_is_allowed_to_whom_the_table_says_and_to_nobody_else() {
    let master = master().await;
    let kinds = [
        (PrincipalKind::Operator, "operator"),
        (PrincipalKind::Framework, "framework"),
        (PrincipalKind::Viewer, "viewer"),
        (PrincipalKind::Agent, "join token"),
    ];

    for (kind, word) in kinds {
        let (newcomer, _) = newcomer(&master, kind, "", &[]).await;
        for verb in Verb::ALL.iter().filter(|verb| !verb.is_open()) {
            let Some(rpc) = verb.rpc() else { continue };
            let denied = call(newcomer.clone(), rpc).await == Code::PermissionDenied;
            assert_eq!(denied, !verb.who_may().any(|able| able == word), "{word}: {rpc}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_not_in_the_table_is_not_there() {
    let master = master().await;

    for rpc in ["Operator/Reboot", "Nobody/Knows", ""] {
        assert_eq!(call(wire(&master, peers::owner(&master)).await, rpc).await, Code::Unimplemented);
    }
}

#[tokio::test]
async fn each_token_says_who_comes_with_it() {
    let master = master().await;

    let owner = who_am_i(wire(&master, peers::owner(&master)).await).await.unwrap();
    assert_eq!((owner.name.as_str(), owner.kind()), ("owner", PrincipalKind::Owner));
    let (ci, _) = newcomer(&master, PrincipalKind::Framework, "ci", &["eng/*", "ops"]).await;
    let ci = who_am_i(ci).await.unwrap();
    assert_eq!(
        (ci.name.as_str(), ci.kind(), ci.roles),
        ("ci", PrincipalKind::Framework, vec!["eng/*".into(), "ops".into()])
    );
    let (nameless, token) = newcomer(&master, PrincipalKind::Viewer, "", &[]).await;
    let nameless = who_am_i(nameless).await.unwrap();
    let id = u64::from_be_bytes(token.id.try_into().unwrap());
    assert_eq!((nameless.name, nameless.roles), (format!("token-{id:016x}"), vec!["*".to_owned()]));
}

#[tokio::test]
async fn a_token_is_shown_whole_or_as_its_id_and_secret() {
    let master = master().await;
    let made = create(&master, wanted(PrincipalKind::Operator, "ada", &[])).await;
    let token: Token = made.text.parse().unwrap();
    assert_eq!(token.addresses, [master.addr().to_string()]);

    let short = Shows(Some(token.bearer().authorization().to_string()));

    for shown in [shows(&made.text), short] {
        assert_eq!(who_am_i(wire(&master, shown).await).await.unwrap().name, "ada");
    }
}

#[tokio::test]
async fn what_is_no_token_or_that_of_nobody_is_told_so() {
    let master = master().await;
    let other = Master::start(Config::new(loopback())).await.unwrap();
    let foreign = create(&other, wanted(PrincipalKind::Operator, "ada", &[])).await;
    let made = create(&master, wanted(PrincipalKind::Operator, "ada", &[])).await;
    let id = u64::from_be_bytes(made.token.unwrap().id.try_into().unwrap());
    let guessed = format!("{id:016x}.{}", "A".repeat(43));

    for (shown, why) in [
        (shows(""), "no token of Haggle"),
        (shows("hgl1.AAAA"), "no token of Haggle"),
        (shows(&made.text[..made.text.len() - 1]), "no token of Haggle"),
        (Shows(Some("Basic YWRhOmFkYQ==".to_owned())), "no token of Haggle"),
        (shows(&foreign.text), "is not known here: it was made by another cluster"),
        (shows(&guessed), "is not known here"),
        (peers::owner(&other), "is not known here"),
    ] {
        let told = refused(&master, shown).await;
        assert_eq!(told.code(), Code::Unauthenticated);
        assert!(told.message().contains(why), "{told}");
    }
}

#[tokio::test]
async fn an_expired_token_is_told_apart_and_ends_what_it_began() {
    let master = master().await;
    let short = v1::CreateTokenRequest { ttl_ms: Some(1_500), ..wanted(PrincipalKind::Framework, "ci", &[]) };
    let made = create(&master, short).await;
    let connection = wire(&master, shows(&made.text)).await;
    let framework = Framework::subscribe_on(connection.clone(), None, "").await.unwrap();
    let mut watched = OperatorClient::new(connection).watch(v1::WatchRequest::default()).await.unwrap().into_inner();

    framework.ended().await;
    let last_word = loop {
        if let Err(last_word) = watched.message().await {
            break last_word;
        }
    };

    assert_eq!(last_word.code(), Code::Unauthenticated);
    let told = refused(&master, shows(&made.text)).await;
    assert!(told.message().contains("has expired: have an operator make another one"), "{told}");
    let list = operator(&master).await.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
    assert_eq!(whole(list, |message| message.tokens).await, [], "it is of no use any more");
}

#[tokio::test]
async fn a_revoked_token_ends_everything_within_a_second() {
    let master = master().await;
    let (connection, token) = newcomer(&master, PrincipalKind::Framework, "ci", &[]).await;
    let framework = Framework::subscribe_on(connection.clone(), None, "").await.unwrap();
    let mut watched =
        OperatorClient::new(connection.clone()).watch(v1::WatchRequest::default()).await.unwrap().into_inner();

    operator(&master).await.revoke_token(v1::RevokeTokenRequest { id: token.id, ..Default::default() }).await.unwrap();

    let ends = async {
        framework.ended().await;
        loop {
            if let Err(last_word) = watched.message().await {
                break last_word;
            }
        }
    };
    let last_word = timeout(Duration::from_secs(1), ends).await.expect("it ends within a second");
    assert!(last_word.message().contains("was revoked"), "{last_word}");
    let told = who_am_i(connection).await.unwrap_err();
    assert_eq!(told.code(), Code::Unauthenticated);
    assert!(told.message().contains("was revoked: have an operator make another one"), "{told}");
}

#[tokio::test]
async fn an_upload_ends_with_its_token() {
    let master = master().await;
    let (connection, token) = newcomer(&master, PrincipalKind::Framework, "ci", &[]).await;
    let (chunks, outgoing) = mpsc::channel(1);
    let upload =
        tokio::spawn(async move { ArtifactsClient::new(connection).upload(ReceiverStream::new(outgoing)).await });
    for data in ["some", " more"] {
        // The second is taken when the first was, by a call that has begun.
        chunks.send(v1::UploadChunk { data: data.as_bytes().to_vec().into(), ..Default::default() }).await.unwrap();
    }

    operator(&master).await.revoke_token(v1::RevokeTokenRequest { id: token.id, ..Default::default() }).await.unwrap();

    let refused = timeout(Duration::from_secs(1), upload).await.expect("it ends within a second").unwrap().unwrap_err();
    assert!(refused.message().contains("was revoked"), "{refused}");
}

#[tokio::test]
async fn tokens_outlive_the_master_and_the_owner_is_another_one_then() {
    let folder = TempDir::new().unwrap();
    let config = || Config { state: Some(folder.path().join("state")), ..Config::new(loopback()) };
    let first = Master::start(config()).await.unwrap();
    let made = create(&first, wanted(PrincipalKind::Operator, "ada", &[])).await;
    let owner = peers::owner(&first);
    first.stop().await;

    let second = Master::start(config()).await.unwrap();

    assert_eq!(who_am_i(wire(&second, shows(&made.text)).await).await.unwrap().name, "ada");
    assert_eq!(refused(&second, owner).await.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_said_of_tls_to_a_master_in_plain_text_is_refused() {
    let mut config = Config::new(loopback());
    config.tls.client_authorities = Some("authorities.pem".into());

    let refused = Master::start(config).await.unwrap_err().to_string();

    assert!(refused.starts_with("--tls-client-ca says whose certificates agents may show"), "{refused}");
    assert!(refused.contains("speaks plain text: add --tls"), "{refused}");
    let mut config = Config::new(loopback());
    let etcd = haggle_master::EtcdConfig::new(vec!["http://127.0.0.1:1".to_owned()]);
    config.several = Some(haggle_master::Several { etcd, seal_key: Some("seal.key".into()) });
    let refused = Master::start(config).await.unwrap_err().to_string();
    assert!(refused.starts_with("--ca-key-file says what seals the authority"), "{refused}");
}

#[tokio::test]
async fn the_owners_token_is_where_its_user_alone_finds_it_while_the_master_runs() {
    let folder = TempDir::new().unwrap();
    let tokens = OwnerTokens::in_folder(folder.path().join("masters"));
    let config = Config { owner_tokens: Some(tokens.clone()), ..Config::new(loopback()) };
    let master = Master::start(config).await.unwrap();
    let listening = master.addr();

    let found = tokens.find(listening).unwrap();

    let shown = Shows(Some(found.bearer().authorization().to_string()));
    assert_eq!(who_am_i(wire(&master, shown).await).await.unwrap().name, "owner");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(tokens.folder()), mode(&tokens.file(listening))), (0o700, 0o600));
    }
    master.stop().await;
    assert_eq!(tokens.find(listening), None);
}

#[tokio::test]
async fn a_token_that_is_asked_for_again_is_one_and_its_last_text_counts() {
    let master = master().await;
    let request = v1::CreateTokenRequest { request: vec![5; 16], ..wanted(PrincipalKind::Operator, "ada", &[]) };

    let (first, second) = (create(&master, request.clone()).await, create(&master, request).await);

    assert_eq!(first.token.unwrap().id, second.token.unwrap().id);
    assert_eq!(refused(&master, shows(&first.text)).await.code(), Code::Unauthenticated);
    assert_eq!(who_am_i(wire(&master, shows(&second.text)).await).await.unwrap().name, "ada");
}

#[tokio::test]
async fn a_token_that_cannot_be_is_told_what_is_wrong_with_it() {
    let master = master().await;
    let mut operator = operator(&master).await;
    let base = || wanted(PrincipalKind::Framework, "ci", &[]);

    for (wrong, why) in [
        (v1::CreateTokenRequest { kind: PrincipalKind::Owner.into(), ..base() }, "must be agent, framework, operator"),
        (v1::CreateTokenRequest { kind: 0, ..base() }, "must be agent, framework, operator or viewer"),
        (wanted(PrincipalKind::Operator, "ada", &["eng"]), "only frameworks and viewers are confined to roles"),
        (wanted(PrincipalKind::Viewer, "eye", &["a//b"]), "\"a//b\" is no role"),
        (v1::CreateTokenRequest { uses: Some(2), ..base() }, "only tokens by which agents join are used up"),
        (v1::CreateTokenRequest { ttl_ms: Some(0), ..base() }, "lives for at least a second"),
        (wanted(PrincipalKind::Operator, "owner", &[]), "the name \"owner\" is taken"),
        (wanted(PrincipalKind::Operator, "a\u{1b}[31m", &[]), "not printable"),
    ] {
        let refused = operator.create_token(wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(why), "{refused}");
    }
}

#[tokio::test]
async fn an_operator_lists_tokens_and_nobody_sees_a_secret() {
    let master = master().await;
    let made = create(&master, wanted(PrincipalKind::Framework, "ci", &["eng/*"])).await;
    let rack = v1::CreateTokenRequest { uses: Some(7), ..wanted(PrincipalKind::Agent, "rack", &[]) };
    create(&master, rack).await;

    let list = operator(&master).await.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
    let mut tokens = whole(list, |message| message.tokens).await;
    tokens.sort_by_key(|token| token.principal.as_ref().unwrap().name.clone());

    let told: Vec<_> = tokens
        .iter()
        .map(|token| {
            let principal = token.principal.as_ref().unwrap();
            (principal.name.as_str(), principal.kind(), token.uses_left, token.made_by.as_str())
        })
        .collect();
    let expected = [("ci", PrincipalKind::Framework, None, "owner"), ("rack", PrincipalKind::Agent, Some(7), "owner")];
    assert_eq!(told, expected);
    assert_eq!(tokens[0].expires_ms - tokens[0].made_ms, 90 * 24 * 60 * 60 * 1000);
    assert_eq!(tokens[1].expires_ms - tokens[1].made_ms, 60 * 60 * 1000);
    assert_eq!(Some(&tokens[0]), made.token.as_ref());
}

/// Two tenants on one agent, the first of which has a task there.
pub(crate) async fn two_tenants(master: &Master) -> (Agent, [Wire; 2], [Framework; 2], v1::TaskSpec) {
    let mut agent = Agent::register(master, None).await;
    let (a, _) = newcomer(master, PrincipalKind::Framework, "a", &["eng/*"]).await;
    let (b, _) = newcomer(master, PrincipalKind::Framework, "b", &["ops"]).await;
    let mut first = Framework::subscribe_on(a.clone(), None, "eng/a").await.unwrap();
    let offer = first.offer().await;
    first.accept(&offer, vec![spec(first.id, 1)]).await;
    let task = agent.launched().await;
    let second = Framework::subscribe_on(b.clone(), None, "ops").await.unwrap();
    (agent, [a, b], [first, second], task)
}

#[tokio::test]
async fn a_tenant_finds_nothing_of_another_one() {
    let master = master().await;
    let (mut agent, [a, b], [first, _second], task) = two_tenants(&master).await;
    let (mut a, mut b) = (OperatorClient::new(a), OperatorClient::new(b));
    let log = v1::ReadLogRequest { task: task.id, stream: OutputStream::Stdout.into(), ..Default::default() };
    let kill = v1::KillTaskRequest { task: task.id, request: Vec::new() };

    assert_eq!((tasks(&mut a, true).await.len(), tasks(&mut b, true).await.len()), (1, 0));
    let only = v1::ListTasksRequest { ended: true, only: task.id, ..Default::default() };
    assert_eq!(whole(b.list_tasks(only).await.unwrap().into_inner(), |message| message.tasks).await, []);
    assert_eq!(agents(&mut a).await.len(), 1);
    let frameworks = b.list_frameworks(v1::ListFrameworksRequest {}).await.unwrap().into_inner();
    let frameworks = whole(frameworks, |message| message.frameworks).await;
    assert!(frameworks.iter().all(|framework| framework.id != first.id), "{frameworks:?}");
    assert_eq!(b.read_log(log).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(b.kill_task(kill.clone()).await.unwrap_err().code(), Code::NotFound);

    a.kill_task(kill).await.unwrap();
    assert_eq!(Some(agent.killed().await), task.id);
}

#[tokio::test]
async fn a_framework_is_its_principals() {
    let master = master().await;
    let (_agent, [a, b], [first, _second], _) = two_tenants(&master).await;

    let stolen = Framework::subscribe_on(b, Some(first.member.clone()), "ops").await;
    let outside = Framework::subscribe_on(a.clone(), None, "ops").await;
    let back = Framework::subscribe_on(a, Some(first.member.clone()), "eng/a").await;

    assert_eq!(stolen.err().unwrap().message(), "framework has been removed");
    let outside = outside.err().unwrap();
    assert_eq!(outside.code(), Code::PermissionDenied);
    assert!(outside.message().contains("may not subscribe in the role \"ops\": its roles are eng/*"), "{outside}");
    assert_eq!(back.unwrap().id, first.id);
}

#[tokio::test]
async fn a_viewer_looks_at_its_roles_and_changes_nothing() {
    let master = master().await;
    let (_agent, _, _frameworks, task) = two_tenants(&master).await;
    let (eng, _) = newcomer(&master, PrincipalKind::Viewer, "eye", &["eng/*"]).await;
    let (other, _) = newcomer(&master, PrincipalKind::Viewer, "other", &["ops"]).await;
    let (mut eng, mut other) = (OperatorClient::new(eng), OperatorClient::new(other));

    assert_eq!((tasks(&mut eng, false).await.len(), tasks(&mut other, false).await.len()), (1, 0));
    let kill = v1::KillTaskRequest { task: task.id, request: Vec::new() };
    let denied = eng.kill_task(kill).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(denied.message(), "\"eye\" (viewer) may not kill tasks: that takes owner, operator or framework");
}

#[tokio::test]
async fn a_tenant_sees_the_artifacts_that_it_has_brought() {
    let master = master().await;
    let (a, _) = newcomer(&master, PrincipalKind::Framework, "a", &[]).await;
    let (same, _) = newcomer(&master, PrincipalKind::Framework, "a", &[]).await;
    let (b, _) = newcomer(&master, PrincipalKind::Framework, "b", &[]).await;
    let (viewer, _) = newcomer(&master, PrincipalKind::Viewer, "eye", &[]).await;
    let digest = upload_on(a.clone(), None, b"a secret module").await.unwrap().digest;
    let wanted = || v1::ArtifactRef { digest: digest.clone() };
    let stat =
        async |wire: &Wire| ArtifactsClient::new(wire.clone()).stat(wanted()).await.map_err(|status| status.code());

    assert!(stat(&a).await.is_ok() && stat(&same).await.is_ok());
    assert!(artifacts(&master).await.stat(wanted()).await.is_ok());
    assert_eq!(stat(&b).await.unwrap_err(), Code::NotFound);
    let download = ArtifactsClient::new(b.clone()).download(wanted()).await;
    assert_eq!(download.unwrap_err().code(), Code::NotFound);
    assert_eq!(stat(&viewer).await.unwrap_err(), Code::PermissionDenied);

    upload_on(b.clone(), Some(digest.clone()), b"a secret module").await.unwrap();
    assert!(stat(&b).await.is_ok(), "it has the bytes itself");
}

#[tokio::test]
async fn an_agent_that_is_removed_is_cut_off_and_its_tasks_are_gone() {
    let master = master().await;
    let (agent, _, [mut first, _second], _) = two_tenants(&master).await;
    let mut operator = operator(&master).await;

    operator.remove_agent(v1::RemoveAgentRequest { agent: agent.id, ..Default::default() }).await.unwrap();

    agent.ended().await;
    loop {
        if let v1::framework_event::Event::Update(update) = first.event().await
            && update.state() == TaskState::GoneByOperator
        {
            break;
        }
    }
    assert_eq!(agents(&mut operator).await, []);
    let again = v1::RemoveAgentRequest { agent: 1, ..Default::default() };
    assert_eq!(operator.remove_agent(again).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_was_decided_is_in_the_audit_and_no_secret_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let master = Master::start(Config { audit: Some(file.clone()), ..Config::new(loopback()) }).await.unwrap();
    let made = create(&master, wanted(PrincipalKind::Framework, "ci", &["eng/*"])).await;
    let token: Token = made.text.parse().unwrap();
    let ci = wire(&master, shows(&made.text)).await;
    let _framework = Framework::subscribe_on(ci.clone(), None, "eng/a").await.unwrap();
    Framework::subscribe_on(ci.clone(), None, "ops").await.err().unwrap();
    let task = Some(v1::TaskId { framework: 9, number: 9 });
    OperatorClient::new(ci.clone()).kill_task(v1::KillTaskRequest { task, request: Vec::new() }).await.unwrap_err();
    OperatorClient::new(ci).list_tokens(v1::ListTokensRequest {}).await.unwrap_err();
    refused(&master, Shows(None)).await;
    master.stop().await;

    let audit = std::fs::read_to_string(&file).unwrap();
    let has = |parts: &[&str]| audit.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for parts in [
        ["\"principal\":\"owner\"", "\"verb\":\"CreateToken\"", " for \\\"ci\\\" (framework)\"", "\"verdict\":\"ok\""],
        ["\"principal\":\"ci\"", "\"verb\":\"Subscribe\"", "\"object\":\"framework-1\"", "\"verdict\":\"ok\""],
        ["\"principal\":\"ci\"", "\"verb\":\"Subscribe\"", "\"code\":\"PermissionDenied\"", "role \\\"ops\\\""],
        ["\"principal\":\"ci\"", "\"verb\":\"KillTask\"", "\"object\":\"task-9.9\"", "\"code\":\"NotFound\""],
        ["\"principal\":\"ci\"", "\"verb\":\"ListTokens\"", "\"code\":\"PermissionDenied\"", "\"peer\":\"127.0.0.1:"],
        ["\"kind\":\"stranger\"", "\"verb\":\"WhoAmI\"", "\"code\":\"Unauthenticated\"", "\"peer\":\"127.0.0.1:"],
    ] {
        assert!(has(&parts), "{parts:?} in:\n{audit}");
    }
    let authorization = token.bearer().authorization();
    let secret = authorization.rsplit('.').next().unwrap();
    assert!(!audit.contains(secret) && !audit.contains("hgl1."), "{audit}");
}
