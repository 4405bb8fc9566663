//! A caller's connection on which HTTP/2 is spoken without TLS, known beforehand
//! (RFC 9113 §3.3). Frames, windows and the compression of heads are hyper's;
//! here are its limits and its time-outs. A caller that waits for a 100 (Continue)
//! gets none: hyper has no way to send it.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Method;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::ROOM;
use super::progress::Progress;
use super::request_head::{Limits, PREFACE};
use super::stream;
use crate::caller::Caller;
use crate::deadline::Registered;
use crate::http1::Wire;

/// Most requests of a connection at the same time; more are refused
/// (`REFUSED_STREAM`), which tells a caller that it can ask again.
const MOST_STREAMS: u32 = 100;
/// Most bytes of bodies that a caller may send ahead of whoever reads them, on a
/// stream and on a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Most bytes of an answer that wait for a caller to take them, on a stream.
const MOST_UNSENT: usize = 64 * 1024;
/// Longest frame that is read.
const LONGEST_FRAME: u32 = 16 * 1024;
/// Streams that a caller has reset before anybody has looked at them, and those
/// reset here for its mistakes: more end the connection (CVE-2023-44487).
const MOST_RESETS_WAITING: usize = 20;
const MOST_MISTAKES: usize = 1024;

/// Bytes of a caller's opening: the preface and the head of its settings' frame.
const OPENING: usize = PREFACE.len() + 9;

/// Serves the connection until the caller or a time-out ends it, or a drain lets
/// its requests finish. Nothing has been taken off `wire` yet. To be polled when a
/// turn of the connection's deadline has begun and it is watched.
pub(super) async fn serve(
    wire: Rc<Wire>,
    progress: Rc<Progress>,
    address: IpAddr,
    handler: stream::Handler,
) {
    let streams = Rc::new(Streams {
        writing: progress.shared.deadlines.register(),
        stands: Cell::new(false),
        progress,
        address,
        open: Cell::new(0),
        next: Cell::new(None),
        takes_leave: Cell::new(false),
    });
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let caller = streams.opens();
        let deadline = Rc::clone(&caller.deadline);
        let is_head = request.method() == Method::HEAD;
        let spare = Rc::clone(&streams.progress.shared.spare);
        let (head, body) = stream::request(request, spare.fields.take());
        let answering = handler(head, body, caller);
        async move {
            let answer = answering.await;
            Ok::<_, Infallible>(stream::answer(answer, is_head, deadline, spare))
        }
    });
    let caller = TokioIo::new(Io {
        ahead: wire.take_input(),
        wire,
        came: 0,
        streams: Rc::clone(&streams),
    });
    let limits = streams.progress.shared.limits;
    let serving = Builder::new(Tasks(Rc::clone(&streams)))
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MOST_UNSENT)
        .max_frame_size(LONGEST_FRAME)
        .max_header_list_size(longest_list(limits))
        .max_pending_accept_reset_streams(MOST_RESETS_WAITING)
        .max_local_error_reset_streams(MOST_MISTAKES)
        .serve_connection(caller, service);
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        streams.writing.deadline().watch(cx);
        loop {
            // How a connection ends is visible to the caller; there is nobody
            // else to tell.
            if serving.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match streams.what_next() {
                Next::Waits => return Poll::Pending,
                Next::Leaves => serving.as_mut().graceful_shutdown(),
                Next::Ends => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// The longest head that is read, reckoned as HTTP/2 does: so much longer than what is
/// allowed that whoever answers is the one who refuses it, in words, as on a connection
/// of HTTP/1. Of a longer one nothing is kept.
fn longest_list(limits: Limits) -> u32 {
    // RFC 9113 §6.5.2; the target of HTTP/1 is four fields here.
    let fields = limits.fields.saturating_add(4).saturating_mul(32);
    let length = limits.bytes.saturating_add(fields).saturating_add(ROOM);
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What a connection and its streams have in common.
struct Streams {
    progress: Rc<Progress>,
    address: IpAddr,
    /// The time in which a caller has to take something of what is to be written.
    /// What streams have handed on is no longer theirs to wait for.
    writing: Registered,
    /// It takes nothing at the moment.
    stands: Cell<bool>,
    /// Those whose request is being answered.
    open: Cell<usize>,
    /// The one that has been opened and whose task is about to be made.
    next: Cell<Option<Stream>>,
    /// The caller has been told that the connection ends.
    takes_leave: Cell<bool>,
}

/// What becomes of a connection on which everything waits.
enum Next {
    Waits,
    /// The caller is told that no more of its requests are answered than it has
    /// sent by then (RFC 9113 §6.8), so that none is lost.
    Leaves,
    Ends,
}

impl Streams {
    /// A request has come. It has a deadline of its own.
    fn opens(self: &Rc<Self>) -> Caller {
        let registered = self.progress.shared.deadlines.register();
        let open = self.open.get();
        self.open.set(open + 1);
        if open == 0 {
            self.progress.request_begins();
            self.progress.deadline.lift();
        }
        let caller = Caller {
            address: self.address,
            deadline: Rc::clone(registered.deadline()),
            // An answer that breaks off ends its stream with a reset.
            closing: Rc::default(),
        };
        let connection = Rc::clone(self);
        self.next.set(Some(Stream {
            registered,
            connection,
        }));
        caller
    }

    /// It has been answered.
    fn closes(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.progress.deadline.turn_begins();
            self.rests();
        }
    }

    /// No request is on the connection from this turn on.
    fn rests(&self) {
        self.progress.idles();
        if self.takes_leave.get() {
            self.is_to_leave();
        }
    }

    fn is_to_leave(&self) {
        let shared = &self.progress.shared;
        self.progress.deadline.allow(shared.header_timeout);
    }

    /// An attempt to write was made: whether the caller took anything.
    fn notes_write(&self, took: bool) {
        let stood = self.stands.replace(!took);
        let deadline = self.writing.deadline();
        match (stood, took) {
            (true, true) => deadline.lift(),
            (false, false) => {
                deadline.turn_begins();
                deadline.allow(self.progress.shared.idle_timeout);
            }
            (true, false) | (false, true) => {}
        }
    }

    /// The socket takes nothing of `bytes`, as far as the runtime knows.
    #[cold]
    fn stands_still(&self, wire: &Wire, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.notes_write(false);
        let deadline = self.writing.deadline();
        let patience = self.progress.shared.body_idle_timeout;
        if !deadline.is_probe_due(patience) {
            return Poll::Pending;
        }
        match wire.write_at_once(bytes) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                deadline.turn_begins();
                deadline.probe_again(patience);
                Poll::Pending
            }
            written => {
                self.notes_write(true);
                Poll::Ready(written)
            }
        }
    }

    fn what_next(&self) -> Next {
        if self.writing.deadline().expired().is_some() {
            return Next::Ends;
        }
        let has_expired = self.progress.has_expired();
        if self.takes_leave.get() || self.progress.is_in_head() {
            return if has_expired { Next::Ends } else { Next::Waits };
        }
        if !has_expired && !self.progress.shared.draining.get() {
            return Next::Waits;
        }
        self.takes_leave.set(true);
        if self.open.get() == 0 {
            self.is_to_leave();
        }
        Next::Leaves
    }
}

/// One request and its answer. Dropped when that has ended.
struct Stream {
    registered: Registered,
    connection: Rc<Streams>,
}

impl Stream {
    /// One turn of its task: as on a connection of HTTP/1, whoever answers has its
    /// chance first. A task that is dropped before its end resets the stream.
    fn poll(&self, cx: &mut Context<'_>, task: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        let deadline = self.registered.deadline();
        deadline.turn_begins();
        deadline.watch(cx);
        let polled = task.poll(cx);
        if polled.is_pending() && deadline.expired().is_some() {
            return Poll::Ready(());
        }
        polled
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.closes();
    }
}

/// Makes the task of each stream, which its connection ends when the caller has
/// reset it or gone.
#[derive(Clone)]
struct Tasks(Rc<Streams>);

impl<T> hyper::rt::Executor<T> for Tasks
where
    T: Future<Output = ()> + 'static,
{
    fn execute(&self, task: T) {
        // hyper asks the service and makes the task in one breath. Its other tasks
        // are those of tunnels, which are never agreed to.
        let Some(stream) = self.0.next.take() else {
            return;
        };
        tokio::task::spawn_local(async move {
            let mut task = pin!(task);
            poll_fn(|cx| stream.poll(cx, task.as_mut())).await;
        });
    }
}

/// The caller's socket, with what has been read of it before.
struct Io {
    ahead: Bytes,
    wire: Rc<Wire>,
    /// Bytes of the caller's opening that have come.
    came: usize,
    streams: Rc<Streams>,
}

impl Io {
    /// The time for the opening ends where it has come.
    fn notes(&mut self, bytes: usize) {
        if self.came >= OPENING {
            return;
        }
        self.came += bytes;
        if self.came >= OPENING {
            self.streams.rests();
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.ahead.is_empty() {
            ready!(self.wire.poll_read(cx, buffer))?;
        } else {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
        }
        self.notes(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.wire.poll_write(cx, bytes);
        if polled.is_pending() {
            return self.streams.stands_still(&self.wire, bytes);
        }
        self.streams.notes_write(true);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.wire.poll_write_vectored(cx, pieces);
        if polled.is_pending() {
            let first = pieces.iter().find(|piece| !piece.is_empty());
            return self
                .streams
                .stands_still(&self.wire, first.map_or(&[], |piece| piece));
        }
        self.streams.notes_write(true);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.wire.shut_down())
    }
}
