//! What is behind an error of a call: layers of transport lie between it and who must act.

use std::error::Error;
use std::io;

use crate::ConnectError;
use crate::connector::told;

/// The reason of a call that failed, when it was the connection that was refused, by either side. With TLS 1.3 a master
/// refuses an agent's certificate only after the handshake, so that the first call fails and not the connection.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    while let Some(layer) = error {
        if let Some(refused) = layer.downcast_ref::<ConnectError>() {
            return Some(refused.to_string());
        }
        if let Some(tls) = layer.downcast_ref::<rustls::Error>() {
            return Some(told(tls));
        }
        error = match layer.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // The source of an I/O error is that of the error in it, so that this one would be passed over.
            Some(inner) => Some(inner),
            None => layer.source(),
        };
    }
    None
}
