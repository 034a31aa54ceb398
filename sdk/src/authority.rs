//! The authority by which the masters and agents of a cluster know each other, and how it changes.

use std::time::{Duration, SystemTime};

use haggle_proto::convert::{self, Malformed};
use haggle_proto::v1;
use haggle_tls::Fingerprint;

use crate::client::Client;
use crate::error::CallError;
use crate::operator::operator;

/// An authority, as a master knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Of its key: what tokens name.
    pub fingerprint: Fingerprint,
    /// From when on it holds.
    pub made: SystemTime,
    /// Until when.
    pub expires: SystemTime,
}

/// The authorities of a cluster, and who still needs the former.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityInfo {
    /// The one that signs.
    pub current: Authority,
    /// The one that signed before, while it is still believed.
    pub former: Option<Authority>,
    /// Agents that are connected and hold a certificate of the former.
    pub agents_connected: u64,
    /// Agents that are away and may hold one.
    pub agents_away: u64,
    /// Tokens whose holders are not known to believe the current one.
    pub tokens: u64,
    /// The authority of the certificate that the master shows, when an operator has brought that: tokens name it then.
    pub brought: Option<Fingerprint>,
}

impl Client {
    /// The authorities of the cluster.
    ///
    /// # Errors
    /// When the master cannot be reached, refuses, or speaks plain text.
    pub async fn authority(&self) -> Result<AuthorityInfo, CallError> {
        let info = self
            .call(|channel| async move { operator(channel).show_authority(v1::ShowAuthorityRequest {}).await })
            .await?;
        read(info).map_err(|source| self.garbled(source))
    }

    /// Makes a new authority in the place of `current`, which is believed until [`Client::finish_rotation`]. A call that has
    /// to be made again, since the answer was lost, makes no second one.
    ///
    /// # Errors
    /// When another one signs, one is ending already, or the master cannot be reached or refuses.
    pub async fn rotate_authority(&self, current: Fingerprint) -> Result<AuthorityInfo, CallError> {
        let info = self
            .call(|channel| {
                let request = v1::RotateAuthorityRequest { current: current.0.to_vec() };
                async move { operator(channel).rotate_authority(request).await }
            })
            .await?;
        read(info).map_err(|source| self.garbled(source))
    }

    /// Ends the trust in `former`. With `force` also when that cuts somebody off.
    ///
    /// # Errors
    /// When it signs still, somebody would be cut off, or the master cannot be reached or refuses.
    pub async fn finish_rotation(&self, former: Fingerprint, force: bool) -> Result<AuthorityInfo, CallError> {
        let info = self
            .call(|channel| {
                let request = v1::FinishRotationRequest { former: former.0.to_vec(), force };
                async move { operator(channel).finish_rotation(request).await }
            })
            .await?;
        read(info).map_err(|source| self.garbled(source))
    }

    /// Says that whoever comes by this program's token believes this authority from now on: the token was kept anew.
    ///
    /// # Errors
    /// When that one does not sign, or the master cannot be reached or refuses.
    pub async fn follow_authority(&self, authority: Fingerprint) -> Result<(), CallError> {
        self.call(|channel| {
            let request = v1::FollowAuthorityRequest { authority: authority.0.to_vec() };
            async move { operator(channel).follow_authority(request).await }
        })
        .await?;
        Ok(())
    }
}

fn read(info: v1::AuthorityInfo) -> Result<AuthorityInfo, Malformed> {
    let fingerprint = |bytes: &[u8]| Ok::<_, Malformed>(Fingerprint(convert::digest(bytes)?.0));
    let one = |authority: v1::Authority| {
        let at = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        Ok::<_, Malformed>(Authority {
            fingerprint: fingerprint(&authority.fingerprint)?,
            made: at(authority.made_ms).ok_or(Malformed::Missing("time of an authority"))?,
            expires: at(authority.expires_ms).ok_or(Malformed::Missing("end of an authority"))?,
        })
    };
    Ok(AuthorityInfo {
        current: one(info.current.ok_or(Malformed::Missing("current authority"))?)?,
        former: info.former.map(one).transpose()?,
        agents_connected: info.agents_connected,
        agents_away: info.agents_away,
        tokens: info.tokens,
        brought: if info.brought.is_empty() { None } else { Some(fingerprint(&info.brought)?) },
    })
}
