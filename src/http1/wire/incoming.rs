//! The body of a request while it arrives, from the socket itself or from a stream
//! of HTTP/2.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Coding, Wire};

/// The body of a request while it arrives.
#[derive(Debug)]
pub struct Incoming(Source);

/// Where a body comes from.
enum Source {
    /// There is none.
    Nothing,
    /// The socket itself.
    Wire(Reader),
    /// A stream of a connection that has many.
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Wire(reader) => reader.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Incoming {
    /// No body.
    pub(super) fn none() -> Self {
        Self(Source::Nothing)
    }

    /// The body of the request that is in flight on `wire`.
    pub(super) fn on(wire: Rc<Wire>) -> Self {
        let serial = wire.serial.get();
        Self(Source::Wire(Reader { wire, serial }))
    }

    /// A body that somebody else takes off the wire.
    #[must_use]
    pub fn from_stream(body: impl Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        if body.is_end_stream() {
            return Self(Source::Nothing);
        }
        Self(Source::Stream(Box::pin(body)))
    }
}

#[derive(Debug)]
struct Reader {
    wire: Rc<Wire>,
    serial: u32,
}

impl Reader {
    /// The request in flight is still the one whose body this is.
    fn is_current(&self) -> bool {
        self.wire.serial.get() == self.serial
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.is_current() {
            self.wire.has_reader.set(false);
        }
    }
}

/// Why a body cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The caller has closed its sending side.
    #[error("it broke off")]
    BrokeOff,
    /// The connection failed.
    #[error("the connection failed")]
    Read(#[source] io::Error),
    /// The chunked coding is not as RFC 9112 §7.1 has it.
    #[error("its chunks are invalid")]
    Chunks,
    /// The stream it came on has ended in another way.
    #[error("its stream failed")]
    Stream(#[source] Box<dyn Error + Send + Sync>),
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Source::Nothing => Poll::Ready(None),
            Source::Wire(reader) if !reader.is_current() => {
                Poll::Ready(Some(Err(BodyError::BrokeOff)))
            }
            Source::Wire(reader) => reader.wire.poll_body(cx).map_ok(Frame::data),
            Source::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Nothing => true,
            Source::Wire(reader) => reader.wire.is_body_whole() && reader.is_current(),
            Source::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Nothing => SizeHint::with_exact(0),
            Source::Wire(reader) => match reader.wire.body.get() {
                _ if !reader.is_current() => SizeHint::default(),
                Coding::Whole => SizeHint::with_exact(0),
                Coding::Length(left) => SizeHint::with_exact(left),
                Coding::Chunked(_) | Coding::Broken => SizeHint::default(),
            },
            Source::Stream(body) => body.size_hint(),
        }
    }
}
