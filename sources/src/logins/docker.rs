//! `config.json` of docker: what `docker login` leaves there, and the helpers that it names.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::{IdentityToken, Login, OfRegistry, text_of};
use crate::error::SourceError;

/// How long a helper may take: some ask a service.
const HELPER_WITHIN: Duration = Duration::from_secs(20);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    #[serde(rename = "identitytoken")]
    identity: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "Username")]
    name: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// What stands for the name where the secret is an identity token.
const IDENTITY: &str = "<token>";

impl From<Told> for OfRegistry {
    fn from(Told { name, secret }: Told) -> Self {
        match &*name {
            IDENTITY => Self::Identity(IdentityToken(secret)),
            _ => Self::Login(Login { name, password: secret }),
        }
    }
}

pub(super) async fn login(file: &Path, registry: &str) -> Result<Option<OfRegistry>, SourceError> {
    let Some(text) = text_of(file)? else { return Ok(None) };
    // The error would show the place, and with it perhaps what is there.
    let config: Config = serde_json::from_str(&text)
        .map_err(|_| SourceError::Login(format!("{} is not what docker writes", file.display())))?;
    if let Some(helper) = config.helpers.get(registry) {
        return ask(helper, registry).await;
    }
    let entry = config.auths.iter().find(|(host, _)| is_of(host, registry)).map(|(_, entry)| entry);
    if let Some(Entry { identity, .. }) = entry.filter(|entry| !entry.identity.is_empty()) {
        return Ok(Some(OfRegistry::Identity(IdentityToken(identity.clone()))));
    }
    if let Some(Entry { auth, .. }) = entry.filter(|entry| !entry.auth.is_empty()) {
        let wrong = || SourceError::Login(format!("the login for {registry} in {} cannot be read", file.display()));
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
        let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
        let (name, password) = decoded.split_once(':').ok_or_else(wrong)?;
        let login = Login { name: name.to_owned(), password: password.trim_end_matches('\0').to_owned() };
        return Ok(Some(OfRegistry::Login(login)));
    }
    match (config.store, entry) {
        // Docker names each registry that its store has a login for.
        (Some(helper), Some(_)) => ask(&helper, registry).await,
        _ => Ok(None),
    }
}

/// Docker writes some hosts as URLs.
fn is_of(entry: &str, registry: &str) -> bool {
    let entry = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    entry.split('/').next() == Some(registry)
}

/// Asks a helper of docker's, a program of this machine.
async fn ask(helper: &str, registry: &str) -> Result<Option<OfRegistry>, SourceError> {
    let failed = |why: &str| SourceError::Login(format!("docker-credential-{helper} {why}"));
    if helper.is_empty() || !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(SourceError::Login("docker's config.json names a helper that is no program".to_owned()));
    }
    let asking = async {
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&format!("cannot be started: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it says so by its end.
            let _ = stdin.write_all(registry.as_bytes()).await;
        }
        child.wait_with_output().await.map_err(|error| failed(&error.to_string()))
    };
    let said = timeout(HELPER_WITHIN, asking).await.map_err(|_| failed("takes longer than 20 s"))??;
    if !said.status.success() {
        // By its contract that is how it says that it has none.
        return Ok(None);
    }
    let told: Told = serde_json::from_slice(&said.stdout).map_err(|_| failed("does not say what it should"))?;
    Ok(Some(told.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(config: &str, registry: &str) -> Result<Option<OfRegistry>, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, config).unwrap();
        login(&file, registry).await
    }

    #[tokio::test]
    async fn what_docker_login_leaves_is_found() {
        let auth = STANDARD.encode("ada:s:cret");
        let config = format!(
            r#"{{"auths": {{"registry.example:5000": {{"auth": "{auth}"}}, "https://hub.example/v1/": {{"auth": "{auth}"}}}}}}"#
        );
        let login = OfRegistry::Login(Login { name: "ada".into(), password: "s:cret".into() });

        for (registry, expected) in [
            ("registry.example:5000", Some(&login)),
            ("hub.example", Some(&login)),
            ("registry.example", None),
            ("evil.example", None),
        ] {
            assert!(found(&config, registry).await.unwrap().as_ref() == expected, "{registry}");
        }
    }

    #[tokio::test]
    async fn an_identity_token_comes_before_the_name_that_docker_keeps_beside_it() {
        let auth = STANDARD.encode("ada:");
        let config = format!(r#"{{"auths": {{"a": {{"auth": "{auth}", "identitytoken": "a-refresh-token"}}}}}}"#);

        let login = found(&config, "a").await.unwrap();

        assert!(login == Some(OfRegistry::Identity(IdentityToken("a-refresh-token".into()))));
        assert!(!format!("{login:?}").contains("refresh"), "{login:?}");
    }

    #[test]
    fn a_helper_says_by_the_name_that_its_secret_is_an_identity_token() {
        let told = |said: &str| OfRegistry::from(serde_json::from_str::<Told>(said).unwrap());

        let token = told(r#"{"ServerURL": "a", "Username": "<token>", "Secret": "a-refresh-token"}"#);
        let login = told(r#"{"ServerURL": "a", "Username": "ada", "Secret": "s3cret"}"#);

        assert!(token == OfRegistry::Identity(IdentityToken("a-refresh-token".into())));
        assert!(login == OfRegistry::Login(Login { name: "ada".into(), password: "s3cret".into() }));
    }

    #[tokio::test]
    async fn no_error_has_a_secret_in_it() {
        let wrong = STANDARD.encode("no-colon-in-this-secret");
        for config in
            [format!(r#"{{"auths": {{"a": {{"auth": "{wrong}"}}}}}}"#), r#"{"auths": {"a": {"auth": 7 secret"#.into()]
        {
            let error = found(&config, "a").await.unwrap_err().to_string();

            assert!(!error.contains("secret") && !error.contains(&wrong), "{error}");
        }
        assert!(login(Path::new("/no/such/file"), "a").await.unwrap().is_none());
        let helper = found(r#"{"credHelpers": {"a": "../x"}}"#, "a").await.unwrap_err().to_string();
        assert!(helper.contains("no program"), "{helper}");
    }
}
