//! Objects of stores that speak S3.

use std::time::Duration;

use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use crate::client::{Ask, Http};
use crate::error::SourceError;
use crate::logins::{Logins, Place};
use crate::pace::Paced;

/// For how long a signature holds. It is used at once; clocks differ.
const SIGNED_FOR: Duration = Duration::from_mins(5);

const HINT: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials of the user that fetches, have no \
                    key for it that it takes";

/// Which store this process means.
pub(crate) fn endpoint_of_environment() -> Option<Url> {
    Logins::of_environment().store().ok().map(|place| place.endpoint)
}

pub(crate) async fn open(
    http: &Http,
    logins: &Logins,
    bucket: &str,
    key: &str,
) -> Result<(Paced, String), SourceError> {
    let Place { endpoint, region, key: login } = logins.store()?;
    let credentials = login.map(|login| match login.token {
        Some(token) => Credentials::new_with_token(login.id, login.secret, token),
        None => Credentials::new(login.id, login.secret),
    });
    // The bucket in the path: one host is allowed, and not one for each bucket.
    let place = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), region)
        .map_err(|error| SourceError::Login(format!("the S3 endpoint of the environment cannot be used: {error}")))?;
    let url = place.get_object(credentials.as_ref(), key).sign(SIGNED_FOR);
    // What was signed for one host is good for no other: no redirect is followed.
    let answer = http.send(Ask::get(url), None).await?;
    let answer = answer.content(&format!("{key} in bucket {bucket}"), HINT).await?;
    Ok((answer.body, answer.host))
}
