//! An answer that holds places until its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::Place;

/// The same body, which holds the places for as long as it is there.
pub(crate) fn held(body: Body, places: Vec<Place>) -> Body {
    if places.is_empty() { body } else { Body::new(Held { body, _places: places }) }
}

struct Held {
    body: Body,
    _places: Vec<Place>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
