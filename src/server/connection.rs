//! One caller's connection, from its first byte to its end: requests are read
//! from it, one after the other, and their answers written. While nothing is on
//! it, it is a socket and a deadline.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Version};
use http_body::Body;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use pin_project_lite::pin_project;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use super::Settings;
use super::answer_head::{self, Asked};
use super::http2;
use super::progress::Progress;
use super::request_head::{self, InvalidHead, Limits, Request};
use super::sending::{Gone, Sending};
use super::stream;
use crate::caller::{Caller, Closing};
use crate::deadline::{Deadlines, Registered};
use crate::http1::{
    Found, Framing, Incoming, Options, RequestHead, Response, ResponseHead, Spare, Wire, name,
};
use crate::metrics::{HEAD_REFUSALS, Metrics, WorkerMetrics};
use crate::telemetry::LogThrottle;

/// Bytes there is room for when a head is read.
pub(super) const ROOM: usize = 16 * 1024;
/// Heads are read up to this length even where fewer bytes are allowed: the request
/// path refuses them then, with a better answer than is possible here.
const LEAST_HEAD: usize = 8 * 1024;

/// Longest time, and most bytes, that are read and dropped after the last answer, and
/// of a body that was answered before it had come.
const LINGER: Duration = Duration::from_secs(5);
const MOST_LINGERED: usize = 64 * 1024 * 1024;

/// What all connections of a worker thread have in common.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) body_idle_timeout: Duration,
    pub(super) draining: Cell<bool>,
    metrics: Arc<Metrics>,
    /// Index of this thread's counters.
    worker: usize,
    /// What heads are read into.
    scratch: RefCell<Box<[u8]>>,
    /// Refused heads, for the log; by [`HEAD_REFUSALS`].
    refusing: [LogThrottle; HEAD_REFUSALS.len()],
    /// The buffer that answers are written from, while no answer is.
    output: Cell<Vec<u8>>,
    pub(super) spare: Rc<Spare>,
    /// What answers requests of HTTP/2.
    pub(super) on_streams: OnceCell<stream::Handler>,
    /// Where the deadlines of streams are registered.
    pub(super) deadlines: Rc<Deadlines>,
}

impl Shared {
    pub(super) fn new(
        settings: &Settings,
        metrics: Arc<Metrics>,
        worker: usize,
        spare: Rc<Spare>,
        deadlines: Rc<Deadlines>,
    ) -> Rc<Self> {
        Rc::new(Self {
            limits: Limits {
                bytes: settings.max_head.max(LEAST_HEAD),
                fields: settings.max_fields,
                http2: settings.h2c,
            },
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            body_idle_timeout: settings.body_idle_timeout,
            draining: Cell::new(false),
            metrics,
            worker,
            scratch: RefCell::new(vec![0; ROOM].into()),
            refusing: Default::default(),
            output: Cell::default(),
            spare,
            on_streams: OnceCell::new(),
            deadlines,
        })
    }

    pub(super) fn counts(&self) -> &WorkerMetrics {
        &self.metrics.workers[self.worker]
    }

    /// Counts and logs that what `caller` sent is no request; nobody else does.
    fn head_is_refused(&self, caller: IpAddr, invalid: InvalidHead) {
        let kind = invalid.counted();
        self.counts().heads_refused[kind].add(1);
        let Some(times) = self.refusing[kind].count(Instant::now()) else {
            return;
        };
        let status = invalid.status().as_u16();
        let why = match invalid {
            InvalidHead::Syntax => {
                "no HTTP/1 request; often a space or an accented letter in the URL that is not percent-encoded, or TLS, or HTTP/2 without listener.h2c"
            }
            InvalidHead::Preface => "HTTP/2 on a connection that has begun with HTTP/1",
            InvalidHead::TooLarge => {
                "a head larger than listener.max_head or with more than listener.max_fields fields"
            }
            InvalidHead::TargetTooLong => "a target that is too long",
        };
        tracing::info!(%caller, status, times, "refused what a caller sent: {why}");
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Serves `stream` until the caller or a time-out ends it, or a drain lets its
/// last request finish.
pub(super) fn serve<H, F, B>(
    stream: TcpStream,
    address: IpAddr,
    registered: Registered,
    shared: Rc<Shared>,
    handler: H,
) -> impl Future<Output = ()> + use<H, F, B>
where
    H: Fn(RequestHead, Incoming, Caller) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
{
    let progress = Progress::new(Rc::clone(registered.deadline()), shared);
    Conversation {
        state: State::Reading,
        connection: Connection {
            wire: Wire::new(stream),
            progress,
            address,
            is_last: Cell::new(false),
            more_has_come: Cell::new(false),
            came_together: Cell::new(false),
            had_body: Cell::new(false),
        },
        handler,
        _registered: registered,
    }
}

pin_project! {
    /// A connection, and what is being done on it. Written as the states it has,
    /// and not as an `async fn`, because each connection has one for as long as it
    /// lives: this is half as large.
    struct Conversation<H, F, B> {
        #[pin]
        state: State<F, B>,
        connection: Connection,
        handler: H,
        _registered: Registered,
    }
}

pin_project! {
    #[project = Doing]
    enum State<F, B> {
        /// Waits for a request, or reads one.
        Reading,
        /// Has it answered.
        Answering { #[pin] answering: F, asked: Asked },
        /// Writes the answer.
        Sending { #[pin] body: B, sending: Sending, is_kept: bool },
        /// Has written it, and another request may follow.
        Between,
        /// Has written it before the request's body had come, and how much of that has
        /// been dropped since.
        Dropping { dropped: usize },
        /// Writes a status alone.
        Refusing { sending: Sending },
        /// Has written the last answer, and how much has been dropped since.
        Ending { dropped: Option<usize> },
        /// Speaks HTTP/2. On the heap, so that no other connection has to have room
        /// for it.
        Http2 { speaking: Pin<Box<dyn Future<Output = ()>>> },
    }
}

impl<H, F, B> Future for Conversation<H, F, B>
where
    H: Fn(RequestHead, Incoming, Caller) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let connection = &*this.connection;
        let progress = &connection.progress;
        progress.deadline.turn_begins();
        progress.deadline.watch(cx);
        let ended = loop {
            match connection.go_on(cx, this.state.as_mut(), this.handler) {
                Poll::Ready(Ok(())) => {}
                // How a connection ends is visible to the caller; there is nobody
                // else to tell.
                Poll::Ready(Err(Gone)) => return Poll::Ready(()),
                Poll::Pending => break Poll::Pending,
            }
        };
        // What its time-outs and a drain mean is its own affair.
        if matches!(this.state.as_mut().project(), Doing::Http2 { .. }) {
            return ended;
        }
        if progress.shared.draining.get() {
            progress.drains();
        }
        // Whoever answers had its chance in this turn. The expiry stays known: the
        // answer's body, dropped with the connection, tells it from a lost caller.
        if progress.has_expired() {
            return Poll::Ready(());
        }
        ended
    }
}

/// A connection while HTTP is spoken on it.
struct Connection {
    /// Dropped first: whoever sees the connection end finds it no longer counted.
    progress: Rc<Progress>,
    wire: Rc<Wire>,
    address: IpAddr,
    /// No request follows the one in flight, by its own words.
    is_last: Cell<bool>,
    /// More than the request in flight has come, or the end of it all.
    more_has_come: Cell<bool>,
    /// The next request has begun to come before the last one was answered.
    came_together: Cell<bool>,
    /// The last request had a body: some callers send an empty line behind one.
    had_body: Cell<bool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Time-outs, a lost server and the program's end all come here.
        if self.progress.closing.get() != Closing::SaysNothing {
            self.wire.ends_with_a_reset();
        }
    }
}

impl Connection {
    /// Does what is to be done in `state`, and leaves the one that comes next.
    fn go_on<H, F, B>(
        &self,
        cx: &mut Context<'_>,
        mut state: Pin<&mut State<F, B>>,
        handler: &H,
    ) -> Poll<Result<(), Gone>>
    where
        H: Fn(RequestHead, Incoming, Caller) -> F,
        F: Future<Output = Response<B>>,
        B: Body<Data = Bytes>,
    {
        match state.as_mut().project() {
            Doing::Reading => match ready!(self.poll_request(cx)) {
                Ok(Found::Head(request)) => {
                    let asked = Asked {
                        is_head: request.head.method == Method::HEAD,
                        version: request.head.version,
                        is_kept: request.is_kept,
                    };
                    let (incoming, caller) = self.begins(&request);
                    let answering = handler(request.head, incoming, caller);
                    state.set(State::Answering { answering, asked });
                }
                Ok(Found::End) => return Poll::Ready(Err(Gone)),
                Err(invalid) => {
                    if let Some(handler) = self.on_streams(invalid) {
                        let (wire, progress) = (Rc::clone(&self.wire), Rc::clone(&self.progress));
                        let speaking = http2::serve(wire, progress, self.address, handler);
                        let speaking = Box::pin(speaking);
                        state.set(State::Http2 { speaking });
                    } else {
                        let sending = self.refusal(cx, invalid);
                        state.set(State::Refusing { sending });
                    }
                }
            },
            Doing::Answering { answering, asked } => match answering.poll(cx) {
                Poll::Ready(Response { head, body }) => {
                    let (sending, is_kept) = self.starts_sending(cx, head, &body, *asked);
                    state.set(State::Sending {
                        body,
                        sending,
                        is_kept,
                    });
                }
                Poll::Pending if self.is_left(cx) => return Poll::Ready(Err(Gone)),
                Poll::Pending => return Poll::Pending,
            },
            Doing::Sending {
                body,
                sending,
                is_kept,
            } => {
                ready!(self.poll_send(cx, sending, body))?;
                self.progress.shared.output.set(sending.take_buffer());
                let next = if *is_kept {
                    State::Between
                } else {
                    State::Ending { dropped: None }
                };
                state.set(next);
            }
            Doing::Between => {
                if self.wire.is_body_whole() {
                    self.wire.rest();
                    let has_next = self.wire.has_more() || self.wire.has_come_behind();
                    self.came_together.set(has_next);
                    self.progress.request_ended();
                    state.set(State::Reading);
                } else {
                    self.progress.ends_within(self.linger());
                    state.set(State::Dropping { dropped: 0 });
                }
            }
            Doing::Dropping { dropped } => {
                ready!(self.poll_drop(cx, dropped));
                state.set(if self.wire.is_body_whole() {
                    State::Between
                } else {
                    State::Ending { dropped: None }
                });
            }
            Doing::Refusing { sending } => {
                ready!(self.poll_write(cx, sending))?;
                state.set(State::Ending { dropped: None });
            }
            Doing::Ending { dropped } => {
                ready!(self.poll_end(cx, dropped));
                return Poll::Ready(Err(Gone));
            }
            Doing::Http2 { speaking } => {
                ready!(speaking.as_mut().poll(cx));
                return Poll::Ready(Err(Gone));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A request begins to be answered.
    fn begins(&self, request: &Request) -> (Incoming, Caller) {
        self.progress.request_begins();
        self.is_last.set(!request.is_kept);
        self.more_has_come.set(self.came_together.get());
        let caller = Caller {
            address: self.address,
            deadline: Rc::clone(&self.progress.deadline),
            closing: Rc::clone(&self.progress.closing),
        };
        self.had_body.set(request.framing != Framing::None);
        let incoming = self.wire.begin_body(request.framing, request.expects);
        (incoming, caller)
    }

    /// What answers requests of HTTP/2, if that is what has come, and first of all.
    fn on_streams(&self, invalid: InvalidHead) -> Option<stream::Handler> {
        let is_http2 = invalid == InvalidHead::Preface && self.wire.is_new();
        let handler = self.progress.shared.on_streams.get();
        handler.filter(|_| is_http2).cloned()
    }

    /// Waits for the next request.
    fn poll_request(&self, cx: &mut Context<'_>) -> Poll<Result<Found<Request>, InvalidHead>> {
        let shared = &self.progress.shared;
        let parse = |input: &[u8]| {
            request_head::read_request(input, shared.limits, || shared.spare.fields.take())
        };
        self.wire.poll_head(
            cx,
            &mut shared.scratch.borrow_mut(),
            shared.limits.bytes,
            || self.progress.head_begins(),
            parse,
        )
    }

    /// Whether the caller has left a request it will not get an answer to.
    fn is_left(&self, cx: &mut Context<'_>) -> bool {
        // Whoever sends several requests together may close its sending side and still
        // be there (RFC 9112 §9.3.2).
        if !self.wire.is_body_whole() || self.more_has_come.get() || self.wire.has_more() {
            return false;
        }
        match self.wire.poll_behind(cx) {
            Poll::Pending => false,
            // An old caller closes its sending side after its only request.
            Poll::Ready(Ok(is_more)) if is_more || self.is_last.get() => {
                self.more_has_come.set(true);
                false
            }
            Poll::Ready(_) => true,
        }
    }

    /// Whether the end of the request's body, behind which the next one begins, is sure
    /// to be found. What is not has to be said before the answer (RFC 9112 §9.6).
    fn finds_end_of_body(&self, cx: &mut Context<'_>) -> bool {
        self.wire.is_body_whole() || self.finds_end_of_rest(cx)
    }

    #[cold]
    fn finds_end_of_rest(&self, cx: &mut Context<'_>) -> bool {
        if self.wire.has_reader() {
            self.wire.may_be_dropped(MOST_LINGERED)
        } else {
            self.wire.drain(cx)
        }
    }

    /// An answer's head is known: what is to be written, and whether another request
    /// may follow.
    fn starts_sending<B>(
        &self,
        cx: &mut Context<'_>,
        head: ResponseHead,
        body: &B,
        mut asked: Asked,
    ) -> (Sending, bool)
    where
        B: Body<Data = Bytes>,
    {
        let shared = &self.progress.shared;
        let says_close = || {
            let mut lines = head.fields.get_all(name::CONNECTION);
            lines.any(|line| Options::of(line).close)
        };
        asked.is_kept =
            asked.is_kept && !shared.draining.get() && !says_close() && self.finds_end_of_body(cx);
        let length = if body.is_end_stream() {
            Some(0)
        } else {
            body.size_hint().exact()
        };
        let mut output = shared.output.take();
        output.clear();
        output.extend_from_slice(self.wire.take_interim());
        let framing = answer_head::write_answer(&mut output, &head, asked, length, date);
        shared.spare.fields.put(head.fields);
        let is_kept = asked.is_kept && framing != Framing::Close;
        (Sending::new(output, framing), is_kept)
    }

    /// The answer to what is no request: a status alone, since nothing is known of
    /// who asks.
    fn refusal(&self, cx: &mut Context<'_>, invalid: InvalidHead) -> Sending {
        self.more_has_come.set(true);
        self.progress.shared.head_is_refused(self.address, invalid);
        let asked = Asked {
            is_head: false,
            version: Version::HTTP_11,
            is_kept: false,
        };
        let nothing = http_body_util::Empty::<Bytes>::new();
        let head = ResponseHead::new(invalid.status());
        self.starts_sending(cx, head, &nothing, asked).0
    }

    fn poll_send<B>(
        &self,
        cx: &mut Context<'_>,
        sending: &mut Sending,
        mut body: Pin<&mut B>,
    ) -> Poll<Result<(), Gone>>
    where
        B: Body<Data = Bytes>,
    {
        loop {
            if sending.wants_more() {
                match body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        // Trailers do not get this far; a frame is data.
                        if let Ok(piece) = frame.into_data() {
                            sending.add(piece);
                        }
                        if body.is_end_stream() {
                            sending.end();
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(_))) => sending.breaks_off(),
                    Poll::Ready(None) => {
                        sending.end();
                        continue;
                    }
                    Poll::Pending if !sending.is_written() => {}
                    Poll::Pending if self.is_left(cx) => return Poll::Ready(Err(Gone)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            ready!(self.poll_write(cx, sending))?;
            if let Some(end) = sending.end_reached() {
                return Poll::Ready(end);
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<Result<(), Gone>> {
        let before = sending.unwritten();
        let polled = sending.poll_write(cx, &self.wire, &self.progress.shared.spare.buffers);
        if polled.is_pending() {
            return self.stands_still(sending, before);
        }
        polled
    }

    /// The socket takes nothing more, as far as the runtime knows; `before` this turn so
    /// much was to be written.
    #[cold]
    fn stands_still(&self, sending: &mut Sending, before: usize) -> Poll<Result<(), Gone>> {
        let (deadline, shared) = (&self.progress.deadline, &self.progress.shared);
        if deadline.is_probe_due(shared.body_idle_timeout) {
            sending.write_at_once(&self.wire, &shared.spare.buffers)?;
            if !sending.is_written() {
                deadline.probe_again(shared.body_idle_timeout);
            }
        }
        if sending.unwritten() < before {
            // The caller reads, however slowly.
            deadline.moves_on();
        }
        if sending.is_written() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Drops what comes of a body that was answered before: its caller, who has not been
    /// told otherwise, sends all of it and then the next request.
    fn poll_drop(&self, cx: &mut Context<'_>, dropped: &mut usize) -> Poll<()> {
        while *dropped < MOST_LINGERED {
            match self.wire.poll_drop(cx) {
                Poll::Ready(0) => break,
                Poll::Ready(length) => *dropped += length,
                Poll::Pending if self.progress.has_expired() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// How long it is read on for the last answer's sake.
    fn linger(&self) -> Duration {
        LINGER.min(self.progress.shared.idle_timeout)
    }

    /// Ends the connection so that the last answer can be read. A socket closed
    /// with unread bytes is reset, and a caller that is still sending loses the
    /// answer that tells it why nobody listens (RFC 9112 §9.6).
    fn poll_end(&self, cx: &mut Context<'_>, dropped: &mut Option<usize>) -> Poll<()> {
        let mut scratch = self.progress.shared.scratch.borrow_mut();
        let mut read = || {
            let mut read = ReadBuf::new(&mut scratch);
            let polled = self.wire.poll_read(cx, &mut read);
            polled.map(|read_on| read_on.map_or(0, |()| read.filled().len()))
        };
        if dropped.is_none() {
            match self.progress.closing.get() {
                Closing::SaysNothing => {}
                Closing::Misleads => return Poll::Ready(()),
                // Everything has been written before it gets here.
                Closing::EndsAnswer => self.progress.closing.set(Closing::SaysNothing),
            }
            let first = if self.may_send_on() {
                0
            } else {
                match read() {
                    // Nothing is here, and nothing is to be expected.
                    Poll::Pending | Poll::Ready(0) => return Poll::Ready(()),
                    Poll::Ready(length) => length,
                }
            };
            *dropped = Some(first);
            if self.wire.shut_down().is_err() {
                return Poll::Ready(());
            }
            self.progress.ends_within(self.linger());
        }
        let dropped = dropped.get_or_insert(0);
        while *dropped < MOST_LINGERED {
            match ready!(read()) {
                0 => break,
                length => *dropped += length,
            }
        }
        Poll::Ready(())
    }

    /// Whether more is to be expected behind the last request. Some callers send an
    /// empty line behind a body.
    fn may_send_on(&self) -> bool {
        let is_read = self.wire.is_body_whole() && !self.wire.has_more();
        !is_read || self.more_has_come.get() || self.had_body.get()
    }
}

/// The time, as RFC 9110 §5.6.7 has it.
pub(super) fn date() -> String {
    let printed = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    // Years beyond 9999 have no such date.
    printed.unwrap_or_default()
}
