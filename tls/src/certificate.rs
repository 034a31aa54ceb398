//! What a certificate says: whose it is, and how long it holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use haggle_core::{AgentId, ClusterId, Member};
use rustls::pki_types::CertificateDer;
use time::{Date, Month, Time};
use webpki::EndEntityCert;

use crate::Fingerprint;
use crate::der::{CONTEXT_0, Element, GENERALIZED_TIME, INTEGER, Reader, SEQUENCE, UTC_TIME};

/// A certificate that was read. Reading checks nothing: who signed it is checked in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    spki: Vec<u8>,
    not_before: SystemTime,
    not_after: SystemTime,
    uris: Vec<String>,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from(der.to_vec());
        let (spki, uris) = {
            let read = EndEntityCert::try_from(&der).map_err(|_| CertificateError)?;
            (read.subject_public_key_info().to_vec(), read.valid_uri_names().map(str::to_owned).collect())
        };
        let (not_before, not_after) = validity(&der).ok_or(CertificateError)?;
        Ok(Self { der, spki, not_before, not_after, uris })
    }

    /// The certificate itself.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Of its public key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.spki)
    }

    /// From when on it holds.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The agent that it names, if it names one.
    pub fn agent(&self) -> Option<Member<AgentId>> {
        self.uris.iter().find_map(|uri| read_agent_uri(uri))
    }

    /// When to ask for the next one: between 50 and 70 % of its life, by a random number, so that agents which started
    /// together do not ask together.
    pub fn renew_at(&self, random: u64) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let thousandths = u32::try_from(500 + random % 201).expect("it is 700 at most");
        self.not_before + life / 1000 * thousandths
    }

    /// Whether it is that of an authority of this cluster: that one's own, or one by which another vouches for it.
    pub fn is_authority_of(&self, cluster: ClusterId) -> bool {
        self.names(&authority_uri(cluster))
    }

    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn names(&self, uri: &str) -> bool {
        self.uris.iter().any(|name| name == uri)
    }
}

/// Bytes that are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no certificate (X.509 in DER)")]
pub struct CertificateError;

/// How a certificate names an agent.
pub(crate) fn agent_uri(agent: Member<AgentId>) -> String {
    format!("haggle://{:032x}/agent/{}", agent.cluster.0, agent.id.0)
}

/// How an authority's certificate names its cluster.
pub(crate) fn authority_uri(cluster: ClusterId) -> String {
    format!("haggle://{:032x}/authority", cluster.0)
}

fn read_agent_uri(uri: &str) -> Option<Member<AgentId>> {
    let (cluster, id) = uri.strip_prefix("haggle://")?.split_once("/agent/")?;
    let cluster = ClusterId(u128::from_str_radix(cluster, 16).ok()?);
    let agent = Member { cluster, id: AgentId(id.parse().ok()?) };
    // One spelling only.
    (agent_uri(agent) == uri).then_some(agent)
}

/// `SEQUENCE { SEQUENCE { [0] version, serial, algorithm, issuer, SEQUENCE { from, to }, … }, … }`
fn validity(der: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let mut signed = Reader::new(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
    signed.one(CONTEXT_0)?;
    signed.one(INTEGER)?;
    signed.one(SEQUENCE)?;
    signed.one(SEQUENCE)?;
    let mut validity = signed.inside(SEQUENCE)?;
    Some((system_time(validity.any()?)?, system_time(validity.any()?)?))
}

/// `YYMMDDhhmmssZ`, or with all four digits of the year.
fn system_time(element: Element<'_>) -> Option<SystemTime> {
    let text = str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let number = |from: usize, digits: usize| -> Option<u8> {
        let digits = text.get(from..from + digits)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, rest) = match (element.tag, text.len()) {
        // From 1950 to 2049.
        (UTC_TIME, 12) => (number(0, 2).map(|year| if year < 50 { 2000 } else { 1900 } + i32::from(year))?, 2),
        (GENERALIZED_TIME, 14) => (i32::from(number(0, 2)?) * 100 + i32::from(number(2, 2)?), 4),
        _ => return None,
    };
    let date = Date::from_calendar_date(year, Month::try_from(number(rest, 2)?).ok()?, number(rest + 2, 2)?).ok()?;
    let time = Time::from_hms(number(rest + 4, 2)?, number(rest + 6, 2)?, number(rest + 8, 2)?).ok()?;
    let seconds = date.with_time(time).assume_utc().unix_timestamp();
    // Before 1970: long over in any case.
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_both_forms_are_read() {
        let time = |tag, text: &str| system_time(Element { tag, whole: &[], content: text.as_bytes() });
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));

        assert_eq!(time(UTC_TIME, "261129043000Z"), at(1_795_926_600));
        assert_eq!(time(GENERALIZED_TIME, "20501231235959Z"), at(2_556_143_999));
        assert_eq!(time(UTC_TIME, "491231235959Z"), at(2_524_607_999));
        assert_eq!(time(UTC_TIME, "500101000000Z"), at(0));
        for wrong in ["", "Z", "261329043000Z", "2611290430Z", "261129043000", "26112904300\u{e9}Z", "+61129043000Z"] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_agent_is_named_in_one_spelling_only() {
        let agent = Member { cluster: ClusterId(0xabc), id: AgentId(7) };
        let uri = agent_uri(agent);

        assert_eq!(uri, "haggle://00000000000000000000000000000abc/agent/7");
        assert_eq!(read_agent_uri(&uri), Some(agent));
        for other in
            ["haggle://abc/agent/7", &uri.to_uppercase(), &uri.replace("/7", "/07"), &format!("{uri}/8"), "agent-7"]
        {
            assert_eq!(read_agent_uri(other), None, "{other}");
        }
    }
}
