//! One caller's connection: its phases, its time-outs, its end.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Settings;
use crate::caller::{Caller, SendingSide};
use crate::deadline::{Deadline, Registered};

/// Fewest bytes hyper reads with.
const LEAST_BUFFER: usize = 8 * 1024;
/// Most fields hyper has room for without an allocation for each request.
const FIELDS_AT_HAND: usize = 100;

/// Longest time, and most bytes, that are read and dropped after the last answer.
const LINGER: Duration = Duration::from_secs(5);
const MOST_LINGERED: usize = 64 * 1024 * 1024;

/// How long an idle connection is still looked at when a drain begins.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Where a connection is in its life.
#[derive(Debug)]
struct Progress {
    deadline: Rc<Deadline>,
    phase: Cell<Phase>,
    /// The request in flight is the last one, by its own words.
    last_request: Cell<bool>,
    sending: Rc<SendingSide>,
    /// The answer broke off and nothing but the connection's end can tell.
    cut: Rc<Cell<bool>>,
    draining: Rc<Cell<bool>>,
    /// What has come may not all have been taken as part of a request.
    may_have_unread: Cell<bool>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request has been read.
    Idle,
    /// A request head has begun.
    Head,
    /// A request is being answered.
    Request,
}

impl Progress {
    fn bytes_read(&self) {
        if self.phase.get() == Phase::Idle {
            self.phase.set(Phase::Head);
            self.may_have_unread.set(true);
            self.deadline.allow(self.header_timeout);
        }
    }

    fn request_begins(&self, request: &Request<Incoming>) {
        self.phase.set(Phase::Request);
        self.last_request.set(is_last(request));
        self.may_have_unread.set(!request.body().is_end_stream());
        self.sending.begin();
    }

    /// Nothing more is to come from the caller, and its answer is still due.
    fn awaits_last_answer(&self) -> bool {
        self.phase.get() == Phase::Request && self.last_request.get() && !self.sending.is_cut()
    }

    fn request_ended(&self) {
        self.phase.set(Phase::Idle);
        self.deadline.clear_total();
        // A request can come and be answered within one poll of a drain.
        let idle = if self.draining.get() {
            LAST_LOOK
        } else {
            self.idle_timeout
        };
        self.deadline.allow(idle);
    }
}

/// Whether no further request follows this one on its connection (RFC 9112 §9.3).
fn is_last<B>(request: &Request<B>) -> bool {
    let says = |word: &str| {
        let lines = request.headers().get_all(CONNECTION).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case(word))
    };
    if request.version() == Version::HTTP_10 {
        !says("keep-alive")
    } else {
        says("close")
    }
}

/// Serves `stream` until the caller or a time-out ends it, or a drain lets its
/// last request finish.
pub(super) fn serve<H, F, B>(
    stream: TcpStream,
    address: IpAddr,
    registered: Registered,
    draining: Rc<Cell<bool>>,
    settings: &Settings,
    handler: H,
) -> impl Future<Output = ()> + use<H, F, B>
where
    H: Fn(Request<Incoming>, Caller) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let deadline = Rc::clone(registered.deadline());
    deadline.allow(settings.idle_timeout);
    let progress = Rc::new(Progress {
        deadline: Rc::clone(&deadline),
        phase: Cell::new(Phase::Idle),
        last_request: Cell::new(false),
        sending: Rc::default(),
        cut: Rc::new(Cell::new(false)),
        draining: Rc::clone(&draining),
        may_have_unread: Cell::new(false),
        header_timeout: settings.header_timeout,
        idle_timeout: settings.idle_timeout,
    });
    let io = TokioIo::new(Watched {
        stream,
        progress: Rc::clone(&progress),
        lingered: None,
    });
    let sending = Rc::clone(&progress.sending);
    let cut = Rc::clone(&progress.cut);
    let caller = Caller {
        address,
        deadline: Rc::clone(&deadline),
        sending,
        cut,
    };
    let seen = Rc::clone(&progress);
    let service = service_fn(move |request: Request<Incoming>| {
        seen.request_begins(&request);
        let tracker = Tracker(Rc::clone(&seen));
        let answering = handler(request, caller.clone());
        async move {
            let answer = answering.await;
            Ok::<_, std::convert::Infallible>(answer.map(|body| Tracked {
                body,
                _tracker: tracker,
            }))
        }
    });
    let mut http = http1::Builder::new();
    http.header_read_timeout(None);
    // Also what is read ahead of a body, and what of an answer waits to be written.
    http.max_buf_size(settings.max_head.max(LEAST_BUFFER));
    // Fewer are for whoever answers to count; hyper's own answer says nothing.
    if settings.max_fields > FIELDS_AT_HAND {
        http.max_headers(settings.max_fields);
    }
    let connection = http.serve_connection(io, service);
    async move {
        let _registered = registered;
        let mut connection = pin!(connection);
        let (mut ending, mut leaving) = (false, false);
        poll_fn(|cx| {
            deadline.turn_begins();
            deadline.watch(cx);
            loop {
                // How a connection ends is visible to the caller; there is nobody else to tell.
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                if draining.get() && !ending {
                    match progress.phase.get() {
                        Phase::Request => {
                            ending = true;
                            connection.as_mut().graceful_shutdown();
                            continue;
                        }
                        // The runtime learns of what waits in a new socket from its poller
                        // only, so an idle connection has a moment to turn out not to be.
                        Phase::Idle if !leaving => {
                            leaving = true;
                            deadline.allow(LAST_LOOK);
                        }
                        Phase::Idle | Phase::Head => {}
                    }
                }
                break;
            }
            // Whoever answers had its chance during the poll above. The expiry stays known:
            // the answer's body, dropped with the connection, tells it from a lost caller.
            if deadline.expired().is_some() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Ends the request's phase when the answer's body is dropped, or when the
/// request is abandoned before there is one.
#[derive(Debug)]
struct Tracker(Rc<Progress>);

impl Drop for Tracker {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

pin_project! {
    /// An answer's body that tells its connection when it has ended.
    #[derive(Debug)]
    pub struct Tracked<B> {
        #[pin]
        body: B,
        _tracker: Tracker,
    }
}

impl<B: Body<Data = Bytes>> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket, seen by hyper; notes when a request begins to arrive, and sees
/// to it that the last answer can be read.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    progress: Rc<Progress>,
    /// Bytes dropped since the sending side was closed.
    lingered: Option<usize>,
}

impl Watched {
    /// Reads and drops what the caller still sends. A socket closed with unread
    /// bytes is reset, and a caller that is still sending loses the answer that
    /// tells it why nobody listens (RFC 9112 §9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut lingered: usize) -> Poll<()> {
        let mut dropped = [0; 8 * 1024];
        while lingered < MOST_LINGERED {
            let mut buffer = ReadBuf::new(&mut dropped);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lingered += buffer.filled().len();
                    self.lingered = Some(lingered);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.progress.may_have_unread.get() || lingered > 0 => {
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.progress.cut.get() {
            // Where only the connection's end tells the answer's end, a cut one ends with
            // a reset. If that cannot be had, closing is all that is left.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            if buf.filled().len() > before {
                self.progress.bytes_read();
            } else if self.progress.awaits_last_answer() {
                // An old caller closes its sending side after its only request and waits
                // for the answer; hyper would take the end of file for its departure.
                self.progress.sending.close();
                return Poll::Pending;
            }
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lingered = match self.lingered {
            Some(lingered) => lingered,
            None => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                self.lingered = Some(0);
                let longest = LINGER.min(self.progress.idle_timeout);
                self.progress.deadline.allow(longest);
                0
            }
        };
        self.poll_linger(cx, lingered).map(Ok)
    }
}
