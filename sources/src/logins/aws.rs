//! Keys of object stores: the variables of AWS's tools, and the profiles in their files.

use std::collections::HashMap;
use std::path::PathBuf;

use url::Url;

use super::{Key, Place, text_of};
use crate::error::SourceError;

/// Where AWS's tools keep profiles.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) credentials: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
}

const DEFAULT_REGION: &str = "us-east-1";

/// Variables come before the profile, as with AWS's tools.
pub(super) fn store(files: &Files, variable: impl Fn(&str) -> Option<String>) -> Result<Place, SourceError> {
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let read = |file: &Option<PathBuf>, section: &str| match file {
        Some(file) => Ok::<_, SourceError>(text_of(file)?.map(|text| section_of(&text, section)).unwrap_or_default()),
        None => Ok(HashMap::new()),
    };
    let mut own = read(&files.credentials, &profile)?;
    let named = if profile == "default" { profile } else { format!("profile {profile}") };
    for (name, value) in read(&files.config, &named)? {
        own.entry(name).or_insert(value);
    }
    let said = |variables: &[&str], name: &str| {
        variables.iter().find_map(|name| variable(name)).or_else(|| own.get(name).cloned())
    };

    let region = said(&["AWS_REGION", "AWS_DEFAULT_REGION"], "region").unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let endpoint = said(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"], "endpoint_url");
    let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let endpoint = Url::parse(&endpoint)
        .map_err(|error| SourceError::Login(format!("the S3 endpoint {endpoint:?} is no URL: {error}")))?;
    // Both from one place: half of a key and half of another are none.
    let whole = |id: Option<String>, secret: Option<String>, token| Some(Key { id: id?, secret: secret?, token });
    let key = whole(variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"), variable("AWS_SESSION_TOKEN"));
    let of_profile = |name: &str| own.get(name).cloned();
    let key = key.or_else(|| {
        whole(of_profile("aws_access_key_id"), of_profile("aws_secret_access_key"), of_profile("aws_session_token"))
    });
    Ok(Place { endpoint, region, key })
}

/// What one section of such a file says.
fn section_of(text: &str, section: &str) -> HashMap<String, String> {
    let mut is_it = false;
    let mut said = HashMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_it = name.trim() == section;
        } else if is_it
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            said.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let files = ["credentials", "config"].map(|name| folder.path().join(name));
        std::fs::write(
            &files[0],
            "[default]\naws_access_key_id = A\naws_secret_access_key=B\n[ci]\naws_access_key_id=C\n",
        )
        .unwrap();
        std::fs::write(
            &files[1],
            "[default]\nregion = eu-west-1\n[profile ci]\naws_secret_access_key = D\nendpoint_url = http://127.0.0.1:9000\n",
        )
        .unwrap();
        let [credentials, config] = files.map(Some);
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        store(&Files { credentials, config }, |name| variables.get(name).map(ToString::to_string)).unwrap()
    }

    fn told(place: &Place) -> String {
        let key = place.key.as_ref().map(|key| format!("{}/{}/{:?}", key.id, key.secret, key.token));
        format!("{} {} {}", place.endpoint, place.region, key.unwrap_or_default())
    }

    #[test]
    fn a_profile_is_taken_from_both_files() {
        assert_eq!(told(&place(&[])), "https://s3.eu-west-1.amazonaws.com/ eu-west-1 A/B/None");
        assert_eq!(told(&place(&[("AWS_PROFILE", "ci")])), "http://127.0.0.1:9000/ us-east-1 C/D/None");
        assert_eq!(told(&place(&[("AWS_PROFILE", "other")])), "https://s3.us-east-1.amazonaws.com/ us-east-1 ");
    }

    #[test]
    fn variables_come_first_and_no_key_is_mixed() {
        let said = place(&[
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "X"),
            ("AWS_SECRET_ACCESS_KEY", "Y"),
            ("AWS_SESSION_TOKEN", "Z"),
        ]);

        assert_eq!(told(&said), "https://s3.eu-central-1.amazonaws.com/ eu-central-1 X/Y/Some(\"Z\")");
        assert!(told(&place(&[("AWS_ACCESS_KEY_ID", "X")])).ends_with("A/B/None"));
    }
}
