//! What is behind an error of a call: layers of transport lie between it and who must act.

use std::error::Error;
use std::io;
use std::iter::successors;

use crate::ConnectError;
use crate::connector::told;
use crate::stream::ENDED;

/// The reason of a call that failed, when it was the connection that was refused, by either side. With TLS 1.3 a master
/// refuses an agent's certificate only after the handshake, so that the first call fails and not the connection.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    layers(error).find_map(|layer| {
        let refused = layer.downcast_ref::<ConnectError>().map(ToString::to_string);
        refused.or_else(|| layer.downcast_ref().map(told)).or_else(|| ended(layer))
    })
}

/// Why who answers is not a master to speak to, when that is what an error is about: trying again does not help.
pub fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    use ConnectError::{PlainAbroad, Tls, Untrusted};
    let refused = layers(error).find_map(|layer| layer.downcast_ref::<ConnectError>())?;
    matches!(refused, PlainAbroad(_) | Untrusted { .. } | Tls { .. }).then(|| refused.to_string())
}

/// Why a master does not take the certificate that was shown, when that is what an error is about.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    layers(error).find_map(|layer| match layer.downcast_ref::<rustls::Error>() {
        Some(alert @ rustls::Error::AlertReceived(_)) => Some(told(alert)),
        Some(_) => None,
        None => ended(layer),
    })
}

/// What a layer says that tells of a connection which the master has ended by an alert.
fn ended(layer: &(dyn Error + 'static)) -> Option<String> {
    Some(layer.to_string()).filter(|text| text.starts_with(ENDED))
}

/// An error and what is behind it, one after another.
fn layers<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&layer| match layer.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // The source of an I/O error is that of the error in it, so that this one would be passed over.
        Some(inner) => Some(inner),
        None => layer.source(),
    })
}
