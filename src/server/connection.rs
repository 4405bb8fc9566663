//! One caller's connection, from its first byte to its end. While nothing is
//! on it, it is *parked*: a socket and a deadline. What HTTP is spoken with,
//! some 20 KiB of buffers and state, is made when something can be read and
//! given back soon after the last answer.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use memchr::memmem::Finder;
use tokio::net::TcpStream;

use super::Settings;
use super::progress::{EMPTY_LINE, Phase, Progress, Tracked, Tracker};
use super::socket::Watched;
use crate::caller::Caller;
use crate::deadline::Registered;
use crate::metrics::{Metrics, WorkerMetrics};

/// Fewest bytes hyper reads with.
const LEAST_BUFFER: usize = 8 * 1024;
/// Most fields hyper has room for without an allocation for each request.
const FIELDS_AT_HAND: usize = 100;

/// What all connections of a worker thread have in common.
#[derive(Debug)]
pub(super) struct Shared {
    http: http1::Builder,
    /// Finds the end of a head.
    pub(super) empty_line: Finder<'static>,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) draining: Cell<bool>,
    pub(super) metrics: Arc<Metrics>,
    /// Index of this thread's counters.
    pub(super) worker: usize,
}

impl Shared {
    pub(super) fn new(settings: &Settings, metrics: Arc<Metrics>, worker: usize) -> Rc<Self> {
        Rc::new(Self {
            http: http(settings),
            empty_line: Finder::new(EMPTY_LINE),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            draining: Cell::new(false),
            metrics,
            worker,
        })
    }

    pub(super) fn counts(&self) -> &WorkerMetrics {
        &self.metrics.workers[self.worker]
    }
}

/// What a connection is kept in. `C` speaks HTTP; on the heap, so that a parked
/// connection is small.
enum State<C> {
    Parked(Watched),
    Speaking(Box<C>),
    /// Only while it is changed from one into the other.
    Changing,
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
    H: Fn(Request<Incoming>, Caller) -> F + Clone + Unpin + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let progress = Progress::new(Rc::clone(registered.deadline()), shared);
    progress.shared.counts().connections_parked.add(1);
    let mut state = State::Parked(Watched::new(stream, Rc::clone(&progress)));
    async move {
        let _registered = registered;
        let speak = |socket| {
            let io = TokioIo::new(socket);
            let service = service(Rc::clone(&progress), address, handler.clone());
            progress.shared.counts().connections_unparked.add(1);
            Box::new(progress.shared.http.serve_connection(io, service))
        };
        let mut ending = false;
        poll_fn(|cx| {
            progress.deadline.turn_begins();
            progress.deadline.watch(cx);
            loop {
                match &mut state {
                    State::Parked(socket) => match socket.poll_first(cx) {
                        Poll::Ready(first) if first.is_empty() => return Poll::Ready(()),
                        Poll::Ready(first) => {
                            if let State::Parked(socket) =
                                std::mem::replace(&mut state, State::Changing)
                            {
                                state = State::Speaking(speak(socket.with_ahead(first)));
                            }
                            continue;
                        }
                        Poll::Pending => {}
                    },
                    State::Speaking(connection) => {
                        // How a connection ends is visible to the caller; there is nobody
                        // else to tell.
                        if Pin::new(&mut **connection).poll(cx).is_ready() {
                            return Poll::Ready(());
                        }
                    }
                    State::Changing => return Poll::Ready(()),
                }
                if progress.shared.draining.get() && !ending {
                    match (progress.phase(), &mut state) {
                        (Phase::Request, State::Speaking(connection)) => {
                            ending = true;
                            Pin::new(&mut **connection).graceful_shutdown();
                            continue;
                        }
                        (Phase::Idle, _) => progress.ends_soon(),
                        (Phase::Head | Phase::Request, _) => {}
                    }
                }
                // Whoever answers had its chance during the poll above. The expiry stays
                // known: the answer's body, dropped with the connection, tells it from a
                // lost caller.
                if progress.deadline.expired().is_none() {
                    return Poll::Pending;
                }
                if !progress.is_idle() {
                    return Poll::Ready(());
                }
                if !progress.is_at_rest() {
                    progress.idles_on();
                    return Poll::Pending;
                }
                progress.waits_for_its_end();
                state = match std::mem::replace(&mut state, State::Changing) {
                    State::Speaking(connection) => {
                        progress.shared.counts().connections_parked.add(1);
                        let parts = connection.into_parts();
                        let socket = parts.io.into_inner();
                        if parts.read_buf.is_empty() {
                            State::Parked(socket)
                        } else {
                            // The next request has begun, in the same breath as the last one.
                            State::Speaking(speak(socket.with_ahead(parts.read_buf)))
                        }
                    }
                    unchanged @ (State::Parked(_) | State::Changing) => unchanged,
                };
            }
        })
        .await;
        if let State::Parked(_) = state {
            progress.shared.counts().connections_unparked.add(1);
        }
    }
}

/// How HTTP is spoken with callers.
fn http(settings: &Settings) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.header_read_timeout(None);
    // The socket finds out by itself when a caller leaves.
    http.half_close(true);
    // Also what is read ahead of a body, and what of an answer waits to be written.
    http.max_buf_size(settings.max_head.max(LEAST_BUFFER));
    // Fewer are for whoever answers to count; hyper's own answer says nothing.
    if settings.max_fields > FIELDS_AT_HAND {
        http.max_headers(settings.max_fields);
    }
    http
}

/// What hyper hands requests to.
fn service<H, F, B>(
    progress: Rc<Progress>,
    address: IpAddr,
    handler: H,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Tracked<B>>,
    Error = std::convert::Infallible,
    Future: 'static,
> + Unpin
where
    H: Fn(Request<Incoming>, Caller) -> F + Unpin + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
{
    let caller = Caller {
        address,
        deadline: Rc::clone(&progress.deadline),
        sending: Rc::clone(&progress.sending),
        closing: Rc::clone(&progress.closing),
    };
    service_fn(move |request: Request<Incoming>| {
        progress.request_begins(&request);
        let tracker = Tracker(Rc::clone(&progress));
        let answering = handler(request, caller.clone());
        async move {
            let answer = answering.await;
            Ok(answer.map(|body| Tracked { body, tracker }))
        }
    })
}
