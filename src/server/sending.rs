//! One answer on its way to the caller.

use std::io::{IoSlice, Write};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::http1::{Framing, Wire};

/// Longest piece of a body that is copied behind the head or another piece,
/// which costs less than a second piece in a system call does.
const MOST_JOINED: usize = 8 * 1024;
/// Largest buffer that is kept for the next answer.
const LARGEST_KEPT: usize = 16 * 1024;

/// The caller's connection has failed, or its answer cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// What is still to be written of an answer.
#[derive(Debug)]
pub(super) struct Sending {
    /// Goes first; `written` bytes of it are gone.
    output: Vec<u8>,
    written: usize,
    /// Goes behind that.
    piece: Bytes,
    framing: Framing,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More of the body is to come.
    Open,
    /// All of it is here.
    Ended,
    /// No more of it will come, and the caller is to see that it is not all.
    Broken,
}

impl Sending {
    /// `output` holds the head, which says that the body is delimited like this.
    pub(super) fn new(output: Vec<u8>, framing: Framing) -> Self {
        let is_empty = framing == Framing::None;
        Self {
            output,
            written: 0,
            piece: Bytes::new(),
            framing,
            state: if is_empty { State::Ended } else { State::Open },
        }
    }

    /// The buffer, for the next answer.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        if self.output.capacity() > LARGEST_KEPT {
            return Vec::new();
        }
        self.output
    }

    /// Everything there is has been written.
    pub(super) fn is_written(&self) -> bool {
        self.written == self.output.len() && self.piece.is_empty()
    }

    /// Whether the next piece of the body can be taken: when all is written, and
    /// as long as what is there is little, to go out with it.
    pub(super) fn wants_more(&self) -> bool {
        let may_join = self.written == 0 && self.output.len() < MOST_JOINED;
        self.state == State::Open && self.piece.is_empty() && (may_join || self.is_written())
    }

    /// Takes a piece of the body.
    pub(super) fn add(&mut self, mut piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.is_written() {
            self.output.clear();
            self.written = 0;
        }
        match &mut self.framing {
            Framing::Length(left) => {
                let length = piece.len() as u64;
                if length > *left {
                    // The head has said how long the body is.
                    piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.state = State::Broken;
                }
                *left = left.saturating_sub(length);
            }
            Framing::Chunked => {
                // Writing into a buffer that grows cannot fail.
                let _ = write!(self.output, "{:x}\r\n", piece.len());
                self.output.extend_from_slice(&piece);
                self.output.extend_from_slice(b"\r\n");
                return;
            }
            Framing::None | Framing::Close => {}
        }
        if piece.len() <= MOST_JOINED && !self.output.is_empty() {
            self.output.extend_from_slice(&piece);
        } else {
            self.piece = piece;
        }
    }

    /// The body has ended.
    pub(super) fn end(&mut self) {
        if self.state != State::Open {
            return;
        }
        self.state = match self.framing {
            // Shorter than announced: the caller must not take it for whole.
            Framing::Length(left) if left > 0 => State::Broken,
            Framing::Chunked => {
                if self.is_written() {
                    self.output.clear();
                    self.written = 0;
                }
                self.output.extend_from_slice(b"0\r\n\r\n");
                State::Ended
            }
            Framing::None | Framing::Length(_) | Framing::Close => State::Ended,
        };
    }

    /// The body breaks off. The caller gets what there was, and sees that it is not all.
    pub(super) fn breaks_off(&mut self) {
        self.state = State::Broken;
    }

    /// Writes all there is.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        wire: &Wire,
    ) -> Poll<Result<(), Gone>> {
        while !self.is_written() {
            let rest = &self.output[self.written..];
            let polled = if self.piece.is_empty() {
                wire.poll_write(cx, rest)
            } else if rest.is_empty() {
                wire.poll_write(cx, &self.piece)
            } else {
                let pieces = [IoSlice::new(rest), IoSlice::new(&self.piece)];
                wire.poll_write_vectored(cx, &pieces)
            };
            match ready!(polled) {
                Ok(written) if written > 0 => {
                    let of_output = written.min(rest.len());
                    self.written += of_output;
                    self.piece.advance(written - of_output);
                }
                Ok(_) | Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// How the answer has ended, when all there is has been written.
    pub(super) fn end_reached(&self) -> Option<Result<(), Gone>> {
        match self.state {
            State::Open => None,
            State::Ended => Some(Ok(())),
            State::Broken => Some(Err(Gone)),
        }
    }
}
