//! Registries as companies have them: behind a proxy, with a service of tokens, and with logins that are kept nowhere.

use std::os::unix::fs::PermissionsExt;

use haggle_kit::{Proxy, TokenService, certificate};

use super::*;

const IDENTITY: &str = "a-refresh-token";

/// Off this thread, which serves the services and the proxy.
async fn output(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
}

/// A master that finds an identity token where docker keeps them has tokens for it, from whoever the registry says gives them.
#[tokio::test]
async fn an_identity_token_is_enough_to_push_and_to_run_and_is_shown_nowhere() {
    let folder = TempDir::new().unwrap();
    let tokens = TokenService::start(folder.path(), IDENTITY).await;
    let Some(registry) = registry_with(folder, "", &tokens.configuration()).await else { return };
    let cluster = cluster(&format!("{},{}", registry.host(), tokens.host()), &[]).await;
    let source = format!("oci://{}/team/hello:1.0", registry.host());
    let docker = cluster.home().logins(".docker/config.json");
    let keep = |config: String| {
        fs::create_dir_all(docker.parent().unwrap()).unwrap();
        fs::write(&docker, config).unwrap();
    };
    // What the registry leads to speaks plain text.
    let alone = async |args: &[&str], path: &str| {
        let mut command = cluster.command(args);
        command.env("HAGGLE_ARTIFACT_HOSTS", tokens.host()).env("PATH", path);
        output(command).await
    };
    let (path, module) = (env::var("PATH").unwrap(), example("hello"));
    let stranger = alone(&["push", &module, &source], &path).await;

    // As docker writes it; the name beside it is nobody's.
    keep(format!(r#"{{"auths": {{"{}": {{"auth": "YWRhOg==", "identitytoken": "{IDENTITY}"}}}}}}"#, registry.host()));
    alone(&["push", &module, &source], &path).await.well();
    let run = ran(&cluster, &["run", &source]).await;
    // The same from a helper, which tells by the name what its secret is.
    let helpers = cluster.log("helpers");
    fs::create_dir_all(&helpers).unwrap();
    let helper = helpers.join("docker-credential-kit");
    fs::write(&helper, format!("#!/bin/sh\necho '{{\"Username\":\"<token>\",\"Secret\":\"{IDENTITY}\"}}'\n")).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    keep(format!(r#"{{"credHelpers": {{"{}": "kit"}}}}"#, registry.host()));
    let by_helper = alone(&["inspect", &source], &format!("{}:{path}", helpers.display())).await;

    assert!(stranger.stderr.contains("does not let us in (401)"), "{stranger:?}");
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    assert!(by_helper.code == Some(0) && by_helper.stdout.contains("sha256:"), "{by_helper:?}");
    let given = tokens.given();
    let scope = |actions| format!("repository:team/hello:{actions}");
    // A registry asks for both in any order.
    let to_push = ["pull,push", "push,pull"].map(scope);
    assert!(given.iter().any(|given| to_push.contains(given)) && given.last() == Some(&scope("pull")), "{given:?}");
    for told in [cluster.master.log(), run.stderr, stranger.stderr, by_helper.stderr] {
        assert!(!told.contains(IDENTITY), "{told}");
    }
}

/// The registry has a name that only the proxy knows, and proves by its certificate that it is called so.
#[tokio::test]
async fn a_registry_behind_a_proxy_is_reached_by_it_and_nobody_else_is() {
    let (folder, name) = (TempDir::new().unwrap(), "registry.invalid");
    let (ca, key) = certificate(folder.path(), name);
    let (ca, key) = (ca.display().to_string(), key.display().to_string());
    let tls = format!(", tls: {{ certificate: {ca:?}, key: {key:?} }}");
    let Some(registry) = registry_with(folder, &tls, "").await else { return };
    let host = format!("{name}:{}", registry.port);
    let proxy = Proxy::start([(host.clone(), registry.port)]).await;
    let source = format!("oci://{host}/team/hello:1.0");
    let allowed = ["--artifact-hosts", &format!("{host},other.invalid"), "--artifact-ca", &ca];
    let by = [("HTTPS_PROXY", &*proxy.url())];
    let cluster = Cluster::start_in(&by, &allowed, &[AgentFlags::default()]).await;
    let push = async |by: &str| {
        let mut push = cluster.command(&["push", &example("hello"), &source]);
        push.env("https_proxy", by).env("HAGGLE_ARTIFACT_CA", &ca);
        output(push).await
    };

    let stranger = push(&proxy.url_of_a_stranger()).await;
    push(&proxy.url()).await.well();
    let run = ran(&cluster, &["run", &source]).await;
    let unknown_to_it = ran(&cluster, &["run", "https://other.invalid/app.wasm"]).await;
    let before = proxy.asked().len();
    let not_allowed = ran(&cluster, &["run", "https://elsewhere.invalid/app.wasm"]).await;
    let here = ran(&cluster, &["run", "https://127.0.0.1:1/app.wasm"]).await;

    assert!(stranger.stderr.contains(&format!("does not connect to {host}: it answered 407")), "{stranger:?}");
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    assert!(unknown_to_it.stderr.contains("does not connect to other.invalid: it answered 403"), "{unknown_to_it:?}");
    for refused in [not_allowed, here] {
        assert!(refused.stderr.contains("allow it with --artifact-hosts"), "{refused:?}");
    }
    let asked = proxy.asked();
    assert_eq!(asked.len(), before, "{asked:?}");
    assert!(asked.iter().all(|asked| [&*host, "other.invalid:443"].contains(&&**asked)), "{asked:?}");
    assert!(!cluster.master.log().contains("s3cret"), "{}", cluster.master.log());
}
