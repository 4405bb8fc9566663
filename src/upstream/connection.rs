//! One connection to the server, and one request and its answer on it: both
//! bodies move at the same time, each through a bounded buffer.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::task::coop::{has_budget_remaining, unconstrained};

use super::answer_head::{self, Head, InvalidHead};
use super::connect::Stream;
use super::error::{AnswerError, UpstreamError};
use super::uploading::{NotWhole, Piece, Uploading};
use crate::http1::{Chunked, Framing, LowWater, Spare, Step};

/// Bytes there is room for at the first read of an answer. When that comes full, the
/// answer is read in pieces that are as long as the buffers of [`Spare`]: each read
/// costs two system calls and their wake-ups, whatever it brings.
const READ: usize = 8 * 1024;
/// Largest buffer of a request that is kept for the next one on its connection.
const MOST_OUTPUT_KEPT: usize = 32 * 1024;
/// Most interim answers (1xx) before the final one.
const MOST_INTERIM: u8 = 8;

/// A connection and its two buffers.
pub(super) struct Connection {
    stream: Stream,
    /// Bytes to be written. Empty between requests.
    pub(super) output: BytesMut,
    /// Bytes read and not taken yet. Empty between requests.
    input: BytesMut,
    /// What was written may still wait in the TLS layer.
    unflushed: bool,
    /// Bytes of the present request that the connection took.
    accepted: u64,
    /// Bytes of `input` that are known not to hold a whole head.
    looked_at: usize,
    /// The answer is a long one.
    is_long: bool,
    /// How much of it is waited for.
    low_water: LowWater,
    /// The server stopped taking the request: never to be used again.
    spoiled: bool,
    /// How it said so, before the head of its answer.
    refused: Option<io::Error>,
    /// What answers are read into.
    spare: Rc<Spare>,
}

/// The answer a request waits for.
pub(super) struct Awaited {
    /// The request is HEAD.
    pub(super) to_head: bool,
    /// The connection has carried a request before.
    pub(super) reused: bool,
    /// Interim answers (1xx) that have come.
    pub(super) interim: u8,
}

/// Why the request's side stopped.
#[derive(Debug)]
enum Stopped {
    /// The server takes nothing more.
    Write(io::Error),
    /// The caller's body failed, or is not as long as announced.
    Body,
}

impl From<NotWhole> for Stopped {
    fn from(_: NotWhole) -> Self {
        Self::Body
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, spare: Rc<Spare>) -> Self {
        Self {
            stream,
            output: BytesMut::new(),
            input: BytesMut::new(),
            unflushed: false,
            accepted: 0,
            looked_at: 0,
            is_long: false,
            low_water: LowWater::default(),
            spoiled: false,
            refused: None,
            spare,
        }
    }

    /// Whether a connection that has been idle is still good: the server has
    /// neither closed it nor said anything nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        if !self.input.is_empty() || self.poll_fill(&mut context).is_ready() {
            return false;
        }
        // The runtime tells a task that has read much in its turn that there is nothing to
        // read, whatever there is. That must not pass for quiet.
        (has_budget_remaining() || self.brings_nothing()) && !self.stream.is_within_record()
    }

    /// Whether there is nothing to be read, however much the task has read in its turn.
    #[cold]
    fn brings_nothing(&mut self) -> bool {
        let looking = unconstrained(poll_fn(|cx| self.poll_fill(cx)));
        let mut context = Context::from_waker(Waker::noop());
        pin!(looking).poll(&mut context).is_pending()
    }

    /// To be called when `output` holds the head of a new request.
    pub(super) fn begin(&mut self) {
        self.accepted = 0;
        self.looked_at = 0;
    }

    /// Gives back what was only needed for a long request or a long answer.
    pub(super) fn rest(&mut self) {
        if self.output.capacity() > MOST_OUTPUT_KEPT {
            self.output = BytesMut::new();
        }
        if self.is_long {
            self.is_long = false;
            self.low_water.rest(self.stream.socket());
            self.spare.buffers.put(std::mem::take(&mut self.input));
        }
    }

    /// Whether the connection can carry another request now.
    pub(super) fn is_at_rest(&self) -> bool {
        self.input.is_empty()
            && self.is_written()
            && !self.spoiled
            && !self.stream.is_within_record()
    }

    /// Writes the request and waits for the head of its answer.
    pub(super) fn poll_head<B>(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Option<Uploading<B>>,
        awaited: &mut Awaited,
    ) -> Poll<Result<Head, UpstreamError>>
    where
        B: Body<Data = Bytes>,
    {
        if !self.spoiled {
            match self.poll_upload(cx, upload) {
                Poll::Ready(Ok(())) | Poll::Pending => {}
                Poll::Ready(Err(Stopped::Body)) => {
                    return Poll::Ready(Err(UpstreamError::CallerBody));
                }
                Poll::Ready(Err(Stopped::Write(error))) if self.accepted == 0 => {
                    return Poll::Ready(Err(UpstreamError::NeverSent(error)));
                }
                // The server may have answered before it stopped reading. The runtime knows
                // of that only when its poller has seen it, so a read that finds nothing yet
                // proves nothing; what comes next is the answer or the connection's end.
                Poll::Ready(Err(Stopped::Write(error))) => {
                    self.spoiled = true;
                    self.refused = Some(error);
                }
            }
        }
        loop {
            // A server that has sent anything, if only 1xx, had not closed the connection
            // as idle.
            let reused = awaited.reused && awaited.interim == 0;
            if let Some(head) = self.take_head(awaited)? {
                let status = head.head.status;
                if !status.is_informational() {
                    return Poll::Ready(Ok(head));
                }
                if status == http::StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Err(UpstreamError::SwitchedProtocols));
                }
                awaited.interim += 1;
                if awaited.interim > MOST_INTERIM {
                    return Poll::Ready(Err(UpstreamError::Invalid(InvalidHead::TooLarge)));
                }
                continue;
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) if self.input.is_empty() => {
                    let refused = self.refused.take();
                    let source = refused.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(Err(UpstreamError::Broken { reused, source }));
                }
                // It broke off in the middle of its head.
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(UpstreamError::Invalid(InvalidHead::Syntax)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(source)) => {
                    let reused = reused && self.input.is_empty();
                    return Poll::Ready(Err(UpstreamError::Broken { reused, source }));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take_head(&mut self, awaited: &Awaited) -> Result<Option<Head>, UpstreamError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        if !answer_head::begins_like_an_answer(&self.input) {
            return Err(UpstreamError::Invalid(InvalidHead::Syntax));
        }
        // A head that trickles in is not parsed again for each byte of it.
        let fresh = &self.input[self.looked_at.saturating_sub(3)..];
        let may_end = self.looked_at == 0
            || fresh
                .windows(2)
                .any(|pair| pair == b"\n\r" || pair == b"\n\n");
        if may_end
            && let Some(head) =
                answer_head::read_answer(&mut self.input, awaited.to_head, &self.spare.fields)?
        {
            self.looked_at = 0;
            return Ok(Some(head));
        }
        self.looked_at = self.input.len();
        if self.input.len() > answer_head::LONGEST_HEAD {
            return Err(UpstreamError::Invalid(InvalidHead::TooLarge));
        }
        Ok(None)
    }

    /// The next piece of the answer's body; `None` at its end.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        framing: &mut Framing,
        chunked: &mut Chunked,
    ) -> Poll<Option<Result<Bytes, AnswerError>>> {
        loop {
            match framing {
                Framing::None => return Poll::Ready(None),
                Framing::Length(left) => {
                    if !self.input.is_empty() {
                        let here = usize::try_from(*left)
                            .unwrap_or(usize::MAX)
                            .min(self.input.len());
                        let piece = self.take_input(here);
                        *left -= here as u64;
                        if *left == 0 {
                            *framing = Framing::None;
                        }
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Framing::Close => {
                    if !self.input.is_empty() {
                        let piece = self.take_input(self.input.len());
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Framing::Chunked => match chunked.step(&mut self.input) {
                    Ok(Step::Data(piece)) => return Poll::Ready(Some(Ok(piece))),
                    Ok(Step::End) => {
                        *framing = Framing::None;
                        return Poll::Ready(None);
                    }
                    Ok(Step::NeedsMore) => {}
                    Err(_) => return Poll::Ready(Some(Err(AnswerError::Chunks))),
                },
            }
            let polled = self.poll_fill(cx);
            if let (Framing::Length(left), true) = (&*framing, self.is_long) {
                match &polled {
                    Poll::Pending => self.low_water.wait(cx, self.stream.socket(), *left),
                    Poll::Ready(Ok(length)) => self.low_water.came(*length),
                    Poll::Ready(Err(_)) => {}
                }
            }
            match ready!(polled) {
                Ok(0) if *framing == Framing::Close => {
                    *framing = Framing::None;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(AnswerError::BrokeOff))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(AnswerError::Read(error)))),
            }
        }
    }

    /// Moves the request's body on, while an answer is read.
    pub(super) fn move_upload<B>(&mut self, cx: &mut Context<'_>, upload: &mut Option<Uploading<B>>)
    where
        B: Body<Data = Bytes>,
    {
        if !self.spoiled
            && (upload.is_some() || !self.is_written())
            && let Poll::Ready(Err(_)) = self.poll_upload(cx, upload)
        {
            // The answer decides what the caller sees; this connection ends with it.
            *upload = None;
            self.spoiled = true;
        }
    }

    fn is_written(&self) -> bool {
        self.output.is_empty() && !self.unflushed
    }

    /// Writes what there is to write until the request is complete.
    fn poll_upload<B>(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Option<Uploading<B>>,
    ) -> Poll<Result<(), Stopped>>
    where
        B: Body<Data = Bytes>,
    {
        loop {
            if self.accepted == 0
                && let Some(uploading) = upload
                && uploading.may_join_its_head()
                && let Poll::Ready(piece) = uploading.poll_piece(cx, &mut self.output)?
            {
                if piece == Piece::Last {
                    *upload = None;
                }
                continue;
            }
            ready!(self.poll_write_out(cx)).map_err(Stopped::Write)?;
            let Some(uploading) = upload else {
                return Poll::Ready(Ok(()));
            };
            if ready!(uploading.poll_piece(cx, &mut self.output))? == Piece::Last {
                *upload = None;
            }
        }
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.accepted += written as u64;
            self.unflushed = true;
            if written == self.output.len() {
                self.output.clear();
            } else {
                let _ = self.output.split_to(written);
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `length` bytes off the front of what has been read.
    fn take_input(&mut self, length: usize) -> Bytes {
        if self.is_long && length == self.input.len() {
            // Nobody else has a part of the buffer: it can be given back when the piece
            // has been passed on.
            return std::mem::take(&mut self.input).freeze();
        }
        self.input.split_to(length).freeze()
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_long {
            self.make_room();
        } else {
            self.input.reserve(READ);
        }
        let polled = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        if polled.is_pending() && self.is_long {
            self.give_back();
        }
        let read = ready!(polled)?;
        self.is_long |= read >= READ;
        Poll::Ready(Ok(read))
    }

    /// Nothing more of a long answer is here yet: what has come of a chunk's size, or of
    /// a head, does not hold a long buffer meanwhile.
    fn give_back(&mut self) {
        let rest = match self.input.len() {
            0 => BytesMut::new(),
            1..READ => BytesMut::from(&self.input[..]),
            READ.. => return,
        };
        self.spare
            .buffers
            .put(std::mem::replace(&mut self.input, rest));
    }

    /// There is room for much of a long answer.
    fn make_room(&mut self) {
        if !self.input.try_reclaim(READ) {
            let mut buffer = self.spare.buffers.take();
            buffer.extend_from_slice(&self.input);
            self.input = buffer;
        }
    }
}

/// Without the bytes: a credential is among them, and personal data.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("stream", &self.stream)
            .field("output", &self.output.len())
            .field("input", &self.input.len())
            .field("accepted", &self.accepted)
            .field("spoiled", &self.spoiled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn debug_shows_no_byte_that_is_on_its_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let mut connection = Connection::new(Stream::Plain(stream.unwrap()), Rc::default());
        connection
            .output
            .extend_from_slice(b"authorization: Bearer TKsecret");
        connection
            .input
            .extend_from_slice(b"{\"Tel\":\"0612345678\"}");
        let shown = format!("{connection:?}");
        for word in ["TKsecret", "0612345678", "Bearer", "Tel"] {
            assert!(!shown.contains(word), "{shown}");
        }
    }

    /// A connection, and the server's end of it.
    async fn connected() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(connecting, listener.accept());
        let connection = Connection::new(Stream::Plain(stream.unwrap()), Rc::default());
        (connection, accepted.unwrap().0)
    }

    /// Reads until there is nothing more to be read.
    async fn read_all(connection: &mut Connection) {
        poll_fn(|cx| connection.poll_fill(cx)).await.unwrap();
        poll_fn(|cx| {
            while connection.poll_fill(cx).is_ready() {}
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_long_answer_that_pauses_within_a_chunk_size_holds_no_long_buffer() {
        let (mut connection, mut server) = connected().await;
        connection.is_long = true;
        for (says, holds) in [("5;name", "5;name"), ("=x\r\nhel", "5;name=x\r\nhel")] {
            server.write_all(says.as_bytes()).await.unwrap();
            read_all(&mut connection).await;
            assert_eq!(connection.input, holds);
            let capacity = connection.input.capacity();
            assert!(capacity <= 2 * READ, "{capacity} bytes");
        }
    }

    /// Bytes that come while a long answer with so many to come is read, and how long
    /// they took under a clock that stands still while anything happens.
    async fn next_piece(connection: &mut Connection, to_come: u64) -> Duration {
        let (mut framing, mut chunked) = (Framing::Length(to_come), Chunked::default());
        let began = tokio::time::Instant::now();
        let piece = poll_fn(|cx| connection.poll_body(cx, &mut framing, &mut chunked)).await;
        assert_eq!(piece.unwrap().unwrap().len(), 1000);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_long_answer_much_is_waited_for_and_of_what_follows_it_nothing() {
        let (mut connection, mut server) = connected().await;
        server.set_nodelay(true).unwrap();
        for (is_long, to_come, waits) in [
            (false, 1 << 20, false),
            (true, 1 << 20, true),
            (true, 10_000, false),
            (false, 1 << 20, false),
        ] {
            connection.is_long = is_long;
            connection.low_water.came(READ);
            let sends = server.write_all(&[b'x'; 1000]);
            let (took, sent) = tokio::join!(next_piece(&mut connection, to_come), sends);
            sent.unwrap();
            assert_eq!(took > Duration::ZERO, waits, "{is_long} {to_come} {took:?}");
            connection.rest();
        }
    }

    #[tokio::test]
    async fn a_connection_at_rest_holds_nothing_of_a_large_request() {
        let (mut connection, _server) = connected().await;
        for (length, most) in [(1000, 2000), (100_000, 0)] {
            connection.output.extend_from_slice(&vec![b'x'; length]);
            connection.output.clear();
            connection.rest();
            let capacity = connection.output.capacity();
            assert!(capacity <= most, "{capacity} bytes after {length}");
        }
    }
}
