//! Files of web servers.

use url::Url;

use crate::client::{Ask, Http};
use crate::error::SourceError;
use crate::logins::Logins;
use crate::pace::Paced;

const HINT: &str = "~/.netrc of the user that fetches has no login for it that it takes";

pub(crate) async fn open(http: &Http, logins: &Logins, url: &Url) -> Result<(Paced, String), SourceError> {
    let mut ask = Ask::get(url.clone());
    if let Some(login) = logins.of_web(url)? {
        ask = ask.with(http::header::AUTHORIZATION, login.basic());
    }
    let answer = http.follow(ask, None).await?;
    let answer = answer.content(url.path(), HINT).await?;
    Ok((answer.body, answer.host))
}
