//! How messages become bytes and are read: as prost has it, in buffers that begin small and out of one piece.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstCodec;

/// What each direction of a call begins with, in bytes. It grows with what is said. A master has a call of each agent open for as
/// long as it lives, on which little is said; tonic's own 8 KiB were half of what an idle agent cost it.
const BUFFER: usize = 512;

/// Messages that are ready at once are written together, up to about so many bytes.
const TOGETHER: usize = 32 << 10;

/// The codec of every call.
#[derive(Debug)]
pub(crate) struct Lean<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Lean<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Lean<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = Whole<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER, TOGETHER))
    }

    fn decoder(&mut self) -> Self::Decoder {
        Whole(PhantomData)
    }
}

/// From how many bytes on a message is taken over as it came, so that pieces of files in it need not be copied. A small one costs less to
/// read where it lies.
const TAKEN_OVER: usize = 16 << 10;

/// Reads a message out of the one piece of memory in which it has come. Field by field out of the buffer that grows, each step on
/// takes longer than what it steps over: a tenth of the time of a long list.
#[derive(Debug)]
pub(crate) struct Whole<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for Whole<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let (bytes, len) = (source.chunk(), source.remaining());
        let is_here = bytes.len() == len && len < TAKEN_OVER;
        let message = if is_here { U::decode(bytes) } else { U::decode(source.copy_to_bytes(len)) };
        source.advance(source.remaining());
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, TOGETHER)
    }
}
