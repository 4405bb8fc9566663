//! A caller's socket: heads are read from it, the body of a request while it
//! arrives, and answers are written to it.
//!
//! Whoever reads the body and whoever drives the connection share it. Both are
//! in the connection's own task, so nothing is locked and nothing handed over:
//! the reader of a body takes it from the socket itself.

mod incoming;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

pub use incoming::{BodyError, Incoming};

use super::chunked::{Chunked, Step};
use super::framing::Framing;

/// Room for one read of a body, in bytes; and for the reads that follow one which
/// filled its room, so that a long body is read and written in fewer pieces.
const ROOM: usize = 16 * 1024;
const MUCH_ROOM: usize = 64 * 1024;

/// What a caller that waits for it is told before its body is read (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Most bytes of a body nobody reads that are dropped for the next request's sake,
/// if they are here.
const MOST_DRAINED: usize = 16 * 1024;

/// A caller's socket, and what was read from it and not taken yet. Small while
/// nothing is: a connection without a request costs no buffer.
pub struct Wire {
    stream: RefCell<TcpStream>,
    input: RefCell<BytesMut>,
    /// Bytes of `input` that are known not to hold a whole head.
    looked_at: Cell<usize>,
    body: Cell<Coding>,
    /// The last read of it came full.
    came_full: Cell<bool>,
    /// The caller waits for [`CONTINUE`] before it sends its body.
    expects: Cell<bool>,
    /// What is still to be written of it.
    interim: Cell<&'static [u8]>,
    /// Which request the body is of.
    serial: Cell<u32>,
    /// Somebody may still read the body.
    has_reader: Cell<bool>,
}

/// What is left of the body of the request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Nothing.
    Whole,
    /// This many bytes.
    Length(u64),
    Chunked(Chunked),
    /// It broke off, or is not what it was announced to be.
    Broken,
}

/// What looking for a head brought.
#[derive(Debug)]
pub enum Found<T> {
    /// The head.
    Head(T),
    /// The caller has closed its sending side.
    End,
}

impl Wire {
    /// Nothing has been read from the socket yet.
    #[must_use]
    pub fn new(stream: TcpStream) -> Rc<Self> {
        Rc::new(Self {
            stream: RefCell::new(stream),
            input: RefCell::default(),
            looked_at: Cell::new(0),
            body: Cell::new(Coding::Whole),
            came_full: Cell::new(false),
            expects: Cell::new(false),
            interim: Cell::new(b""),
            serial: Cell::new(0),
            has_reader: Cell::new(false),
        })
    }

    /// Whether bytes have been read that belong to no request yet.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.input.borrow().is_empty()
    }

    /// Waits for a head. `parse` takes one off the front of what has come and
    /// tells how long it is, or refuses what is no head, and more than `most` bytes
    /// without the end of one; `begins` is called when anything of one has come, which
    /// empty lines behind the last request are not. Both are called while the input is borrowed:
    /// they leave this alone. `scratch` is what is read into, shared by the connections
    /// of a thread.
    ///
    /// # Errors
    /// Those of `parse`. A socket that fails is one that has ended.
    pub fn poll_head<T, E>(
        &self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        most: usize,
        begins: impl Fn(),
        mut parse: impl FnMut(&[u8]) -> Result<Option<(T, usize)>, E>,
    ) -> Poll<Result<Found<T>, E>> {
        let mut input = self.input.borrow_mut();
        loop {
            if !input.is_empty() && self.may_hold_a_head(&input, most) {
                begins();
                if let Some((head, length)) = parse(&input)? {
                    input.advance(length);
                    self.looked_at.set(0);
                    return Poll::Ready(Ok(Found::Head(head)));
                }
            }
            self.looked_at.set(input.len());
            let mut read = ReadBuf::new(scratch);
            if ready!(self.poll_read(cx, &mut read)).is_err() || read.filled().is_empty() {
                return Poll::Ready(Ok(Found::End));
            }
            let mut fresh = read.filled();
            if input.is_empty() && !self.is_new() {
                fresh = &fresh[empty_lines(fresh)..];
                if fresh.is_empty() {
                    continue;
                }
            }
            begins();
            if input.is_empty() {
                match parse(fresh) {
                    Ok(Some((head, length))) => {
                        fresh = &fresh[length..];
                        if !fresh.is_empty() {
                            input.extend_from_slice(fresh);
                        }
                        return Poll::Ready(Ok(Found::Head(head)));
                    }
                    Ok(None) => self.looked_at.set(fresh.len()),
                    Err(error) => {
                        // Somebody else may know what it is.
                        input.extend_from_slice(fresh);
                        return Poll::Ready(Err(error));
                    }
                }
            }
            input.extend_from_slice(fresh);
        }
    }

    /// A head that trickles in is not parsed again for each byte of it.
    fn may_hold_a_head(&self, input: &[u8], most: usize) -> bool {
        let looked_at = self.looked_at.get().min(input.len());
        let fresh = &input[looked_at.saturating_sub(3)..];
        let is_end = |pair: &[u8]| pair == b"\n\r" || pair == b"\n\n";
        looked_at == 0 || input.len() > most || fresh.windows(2).any(is_end)
    }

    /// A request has been taken off whose body is delimited like this. `expects`:
    /// its caller waits for a 100 (Continue) before it sends the body.
    #[must_use]
    pub fn begin_body(self: &Rc<Self>, framing: Framing, expects: bool) -> Incoming {
        let coding = match framing {
            Framing::None | Framing::Length(0) | Framing::Close => Coding::Whole,
            Framing::Length(length) => Coding::Length(length),
            Framing::Chunked => Coding::Chunked(Chunked::default()),
        };
        self.body.set(coding);
        self.came_full.set(false);
        self.serial.set(self.serial.get().wrapping_add(1));
        self.expects.set(expects && coding != Coding::Whole);
        let has_reader = coding != Coding::Whole;
        self.has_reader.set(has_reader);
        if !has_reader {
            return Incoming::none();
        }
        Incoming::on(Rc::clone(self))
    }

    /// Whether no request has been taken off yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.serial.get() == 0
    }

    /// What has been read and not taken yet, for whoever speaks something else.
    #[must_use]
    pub fn take_input(&self) -> Bytes {
        std::mem::take(&mut *self.input.borrow_mut()).freeze()
    }

    /// Whether the body of the request in flight has been read to its end.
    #[must_use]
    pub fn is_body_whole(&self) -> bool {
        self.body.get() == Coding::Whole
    }

    /// Whether somebody may still read it.
    #[must_use]
    pub fn has_reader(&self) -> bool {
        self.has_reader.get()
    }

    /// Reads and drops what has come of a body that nobody reads; whether that was
    /// all of it. A caller that waits for a 100 (Continue) gets none.
    pub fn drain(&self, cx: &mut Context<'_>) -> bool {
        self.expects.set(false);
        let mut dropped = 0;
        while dropped <= MOST_DRAINED {
            self.came_full.set(false);
            match self.poll_body(cx) {
                Poll::Ready(Some(Ok(piece))) => dropped += piece.len(),
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        self.is_body_whole()
    }

    /// Waits for a piece of a body that nobody reads, and drops it; its length, 0 when
    /// nothing more comes of the body.
    pub fn poll_drop(&self, cx: &mut Context<'_>) -> Poll<usize> {
        self.poll_body(cx).map(|piece| match piece {
            Some(Ok(piece)) => piece.len(),
            Some(Err(_)) | None => 0,
        })
    }

    /// Whether the body in flight is sure to come, and to end behind no more than `most`
    /// bytes, as far as anybody can tell.
    #[must_use]
    pub fn may_be_dropped(&self, most: usize) -> bool {
        // Who is answered before it was told to send its body may leave it out; what comes
        // next is either (RFC 9110 §10.1.1).
        !self.expects.get()
            && match self.body.get() {
                Coding::Whole | Coding::Chunked(_) => true,
                Coding::Length(left) => left <= most as u64,
                Coding::Broken => false,
            }
    }

    /// To be called when no request is in flight: drops empty lines in front of the next
    /// one, and frees the buffer when it is empty.
    pub fn rest(&self) {
        let mut input = self.input.borrow_mut();
        let dropped = empty_lines(&input);
        input.advance(dropped);
        if input.is_empty() && input.capacity() > 0 {
            *input = BytesMut::new();
        }
        self.looked_at.set(0);
    }

    /// The next piece of the body; `None` at its end.
    fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut input = self.input.borrow_mut();
        loop {
            match self.body.get() {
                Coding::Whole => return Poll::Ready(None),
                Coding::Broken => return Poll::Ready(Some(Err(BodyError::BrokeOff))),
                Coding::Length(left) => {
                    if !input.is_empty() {
                        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                        self.body.set(match left - here as u64 {
                            0 => Coding::Whole,
                            left => Coding::Length(left),
                        });
                        let piece = if here == input.len() {
                            std::mem::take(&mut *input).freeze()
                        } else {
                            input.split_to(here).freeze()
                        };
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Coding::Chunked(mut chunked) => {
                    let taken = chunked.take(&mut input);
                    self.body.set(if chunked.is_done() {
                        Coding::Whole
                    } else {
                        Coding::Chunked(chunked)
                    });
                    match taken {
                        Ok(Step::Data(piece)) => return Poll::Ready(Some(Ok(piece))),
                        Ok(Step::End) => return Poll::Ready(None),
                        Ok(Step::NeedsMore) => {}
                        Err(_) => return self.breaks(BodyError::Chunks),
                    }
                }
            }
            if self.expects.replace(false) {
                self.interim.set(CONTINUE);
            }
            self.write_interim(cx);
            let room = if self.came_full.get() {
                MUCH_ROOM
            } else {
                ROOM
            };
            input.reserve(room);
            let mut stream = self.stream.borrow_mut();
            let read = pin!(stream.read_buf(&mut *input));
            match ready!(read.poll(cx)) {
                Ok(0) => return self.breaks(BodyError::BrokeOff),
                Ok(length) => self.came_full.set(length >= room),
                Err(error) => return self.breaks(BodyError::Read(error)),
            }
        }
    }

    fn breaks(&self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.body.set(Coding::Broken);
        Poll::Ready(Some(Err(error)))
    }

    /// Writes what can be written of an interim answer.
    fn write_interim(&self, cx: &mut Context<'_>) {
        while !self.interim.get().is_empty() {
            match self.poll_write(cx, self.interim.get()) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.interim.set(&self.interim.get()[written..]);
                }
                // A socket that fails shows it at the next read.
                Poll::Ready(_) | Poll::Pending => return,
            }
        }
    }

    /// What is left to be written of an interim answer: goes before everything else.
    /// Its time is over: whoever still waits for one gets the final answer.
    pub fn take_interim(&self) -> &'static [u8] {
        self.expects.set(false);
        self.interim.take()
    }

    /// Reads into `buffer`; nothing at the end.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buffer)
    }

    /// Whether anything has come behind the request in flight: `false` is the end.
    /// Enters the kernel only when the runtime has seen something come.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_behind(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let peeked = self.stream.borrow().poll_peek(cx, &mut buffer);
        peeked.map_ok(|length| length > 0)
    }

    /// Whether something has come behind the request in flight, as far as the runtime has
    /// seen: it looks between the turns of tasks, so that nothing counts which has come
    /// in this turn. Enters the kernel only when something has.
    #[must_use]
    pub fn has_come_behind(&self) -> bool {
        let stream = self.stream.borrow();
        let peek = || socket2::SockRef::from(&*stream).peek(&mut [MaybeUninit::uninit()]);
        let peeked = stream.try_io(Interest::READABLE, peek);
        peeked.is_ok_and(|length| length > 0)
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, bytes)
    }

    /// Writes what the socket takes of several pieces.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write_vectored(cx, pieces)
    }

    /// Writes what the socket takes at this moment. The runtime is told of room only when
    /// a third of the socket's buffer is free, which is more than a MiB of an answer.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` when there is no room at all.
    pub fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        socket2::SockRef::from(&*self.stream.borrow()).send(bytes)
    }

    /// Closes the sending side.
    ///
    /// # Errors
    /// The socket's.
    pub fn shut_down(&self) -> io::Result<()> {
        socket2::SockRef::from(&*self.stream.borrow()).shutdown(Shutdown::Write)
    }

    /// The connection ends with a reset, however it comes to its end.
    pub fn ends_with_a_reset(&self) {
        // If a reset cannot be had, closing is all that is left.
        let _ = socket2::SockRef::from(&*self.stream.borrow()).set_linger(Some(Duration::ZERO));
    }
}

/// Bytes of the empty lines at the front of `text`, which are ignored where a request
/// is expected: some callers send one behind a body (RFC 9112 §2.2).
fn empty_lines(text: &[u8]) -> usize {
    let mut rest = text;
    while let [b'\r', b'\n', behind @ ..] | [b'\n', behind @ ..] = rest {
        rest = behind;
    }
    text.len() - rest.len()
}

/// Without what was read: it may be a credential or personal data.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("body", &self.body.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
