//! The body of a request on its way to the server, framed piece by piece.

use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::http1::Framing;

/// Longest announced body that goes out in one piece with its head, when it is there.
const MOST_JOINED: u64 = 16 * 1024;

/// The body of a request on its way.
#[derive(Debug)]
pub(super) struct Uploading<B> {
    /// Boxed when there is one, so that an exchange without a body is small.
    body: Pin<Box<B>>,
    framing: Framing,
}

impl<B> Uploading<B> {
    pub(super) fn new(body: B, framing: Framing) -> Self {
        Self {
            body: Box::pin(body),
            framing,
        }
    }
}

/// The caller's body failed, or is not as long as announced.
#[derive(Debug)]
pub(super) struct NotWhole;

/// What was put into the output.
#[derive(PartialEq)]
pub(super) enum Piece {
    /// A piece, and more may follow.
    More,
    /// The end of the body, perhaps with its last piece.
    Last,
}

impl<B: Body<Data = Bytes>> Uploading<B> {
    /// Puts the next piece into `output`, framed.
    ///
    /// # Errors
    /// See [`NotWhole`].
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut BytesMut,
    ) -> Poll<Result<Piece, NotWhole>> {
        Poll::Ready(match ready!(self.body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => {
                let framed = match frame.into_data() {
                    Ok(data) => self.frame(&data, output),
                    Err(_) => Ok(()),
                };
                // An end that is known goes out with what is before it.
                match framed {
                    Ok(()) if self.body.is_end_stream() => self.end(output).map(|()| Piece::Last),
                    framed => framed.map(|()| Piece::More),
                }
            }
            Some(Err(_)) => Err(NotWhole),
            None => self.end(output).map(|()| Piece::Last),
        })
    }
}

impl<B> Uploading<B> {
    /// Whether the body is short enough to wait for in the head's stead: one
    /// system call less, and one segment. Such a body is kept for another try,
    /// so nothing is lost when the connection turns out to be gone.
    pub(super) fn may_join_its_head(&self) -> bool {
        matches!(self.framing, Framing::Length(left) if left <= MOST_JOINED)
    }

    fn frame(&mut self, data: &Bytes, output: &mut BytesMut) -> Result<(), NotWhole> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(NotWhole)?;
                output.extend_from_slice(data);
            }
            // An empty chunk would end the body.
            Framing::Chunked if data.is_empty() => {}
            Framing::Chunked => {
                // Writing into a buffer that grows cannot fail.
                let _ = write!(output, "{:x}\r\n", data.len());
                output.extend_from_slice(data);
                output.extend_from_slice(b"\r\n");
            }
            Framing::None | Framing::Close => return Err(NotWhole),
        }
        Ok(())
    }

    fn end(&self, output: &mut BytesMut) -> Result<(), NotWhole> {
        match self.framing {
            Framing::Length(0) | Framing::None | Framing::Close => {}
            // Shorter than announced: the server must not take it for whole.
            Framing::Length(_) => return Err(NotWhole),
            Framing::Chunked => output.extend_from_slice(b"0\r\n\r\n"),
        }
        Ok(())
    }
}
