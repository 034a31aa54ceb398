//! What is behind an error of a call: layers of transport lie between it and who must act.

use std::error::Error;
use std::io;
use std::iter::successors;

use crate::ConnectError;
use crate::connector::told;
use crate::stream::REFUSED;

/// The reason of a call that failed, when it was the connection that was refused, by either side. With TLS 1.3 a master
/// refuses an agent's certificate only after the handshake, so that the first call fails and not the connection.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    layers(error).find_map(|layer| {
        let refused = layer.downcast_ref::<ConnectError>().map(ToString::to_string);
        refused.or_else(|| layer.downcast_ref().map(told)).or_else(|| refused_by_master(layer))
    })
}

/// Why who answers is not a master to speak to, when that is what an error is about: trying again does not help.
pub fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    use ConnectError::{PlainAbroad, Tls, Untrusted};
    let refused = refused_connection(error).filter(|refused| !refused.is_untimely())?;
    matches!(refused, PlainAbroad(_) | Untrusted { .. } | Tls { .. }).then(|| refused.to_string())
}

/// Why the certificate of who answers does not hold at this time, when that is what an error is about. Trying again helps:
/// a clock is set, or a master that was suspended renews its certificate.
pub fn untimely(error: &(dyn Error + 'static)) -> Option<String> {
    refused_connection(error).filter(|refused| refused.is_untimely()).map(ToString::to_string)
}

fn refused_connection<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ConnectError> {
    layers(error).find_map(|layer| layer.downcast_ref::<ConnectError>())
}

/// Why a master does not take the certificate that was shown, when that is what an error is about.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    layers(error).find_map(refused_by_master)
}

/// HTTP/2 keeps the text of an error and nothing else of it.
fn refused_by_master(layer: &(dyn Error + 'static)) -> Option<String> {
    let text = layer.to_string();
    text.starts_with(REFUSED).then_some(text)
}

/// An error and what is behind it, one after another.
fn layers<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&layer| match layer.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // The source of an I/O error is that of the error in it, so that this one would be passed over.
        Some(inner) => Some(inner),
        None => layer.source(),
    })
}
