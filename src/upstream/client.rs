//! The forwarding HTTP client: one per worker thread, with a last-in-first-out
//! pool of kept connections over hyper's HTTP/1 client half.
//!
//! Last in, first out keeps the warmest connections busy and lets the others
//! reach their idle limit. The pool is touched by its own thread only, so it
//! has no lock.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::connect::connect;
use super::{Settings, UpstreamError};

/// Most bytes of an answer's head, and of what is read ahead of a body.
const READ_BUFFER: usize = 64 * 1024;

/// The TLS policy connections are made with; a reload puts a new one in.
pub type SharedTls = Arc<ArcSwap<rustls::ClientConfig>>;

/// Sends requests to one server. Not `Send`: it belongs to its worker thread.
#[derive(Debug)]
pub struct Client<B> {
    settings: Settings,
    tls: SharedTls,
    /// The policy the kept connections were made with.
    tls_in_use: RefCell<Arc<rustls::ClientConfig>>,
    idle: RefCell<Vec<Kept<B>>>,
    counts: Counts,
}

/// Connections made and ended, ever.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Connections to the server that were made.
    pub opened: Rc<Cell<u64>>,
    /// Connections to the server that have ended.
    pub closed: Rc<Cell<u64>>,
}

#[derive(Debug)]
struct Kept<B> {
    sender: SendRequest<B>,
    since: Instant,
}

impl<B> Client<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A client without connections.
    #[must_use]
    pub fn new(settings: Settings, tls: SharedTls) -> Rc<Self> {
        let tls_in_use = RefCell::new(tls.load_full());
        let idle = RefCell::new(Vec::with_capacity(settings.max_idle.min(64)));
        Rc::new(Self {
            settings,
            tls,
            tls_in_use,
            idle,
            counts: Counts::default(),
        })
    }

    /// The server's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Connections made and ended.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A connection kept from an earlier request that looks alive.
    #[must_use]
    pub fn take_kept(self: &Rc<Self>, now: Instant) -> Option<Lease<B>> {
        self.follow_reload();
        let mut idle = self.idle.borrow_mut();
        let mut index = idle.len();
        while index > 0 {
            index -= 1;
            let kept = &idle[index];
            if kept.sender.is_closed()
                || now.duration_since(kept.since) >= self.settings.idle_timeout
            {
                idle.swap_remove(index);
            } else if kept.sender.is_ready() {
                let sender = idle.remove(index).sender;
                return Some(Lease {
                    sender,
                    client: Rc::clone(self),
                    reused: true,
                });
            }
        }
        None
    }

    /// Makes a new connection. Has no deadline of its own: whoever awaits it
    /// sets one.
    ///
    /// # Errors
    /// Resolve, connect or TLS failures; nothing was sent in any of them.
    pub async fn connect(self: &Rc<Self>) -> Result<Lease<B>, UpstreamError> {
        let tls = self.tls.load_full();
        let stream = connect(&self.settings.server, tls).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::NeverSent)?;
        let counts = self.counts.clone();
        counts.opened.set(counts.opened.get() + 1);
        tokio::task::spawn_local(async move {
            // How a connection ends is told to whoever waits on it; the driver has nobody to tell.
            let _ = connection.await;
            counts.closed.set(counts.closed.get() + 1);
        });
        Ok(Lease {
            sender,
            client: Rc::clone(self),
            reused: false,
        })
    }

    /// Closes kept connections that have been unused for too long or were
    /// closed by the server. To be called now and then.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|kept| {
            !kept.sender.is_closed() && now.duration_since(kept.since) < self.settings.idle_timeout
        });
    }

    /// Connections kept for later.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.idle.borrow().len()
    }

    /// After a reload, connections made under the old trust are not used again.
    fn follow_reload(&self) {
        let current = self.tls.load();
        if !Arc::ptr_eq(&current, &self.tls_in_use.borrow()) {
            *self.tls_in_use.borrow_mut() = Arc::clone(&current);
            self.idle.borrow_mut().clear();
        }
    }

    fn keep(&self, sender: SendRequest<B>) {
        let mut idle = self.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < self.settings.max_idle {
            idle.push(Kept {
                sender,
                since: Instant::now(),
            });
        }
    }
}

/// A connection held for one request.
#[derive(Debug)]
pub struct Lease<B> {
    sender: SendRequest<B>,
    client: Rc<Client<B>>,
    reused: bool,
}

impl<B> Lease<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Whether the connection has served an earlier request.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends `request`, which is in origin-form and has a `Host` field, and
    /// waits for the head of the answer. The connection returns to the pool
    /// when the answer's body has been read to its end; it is closed when this
    /// future or that body is dropped earlier, so no work outlives its caller.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub fn send(
        mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<AnswerBody<B>>, UpstreamError>> {
        let sending = self.sender.try_send_request(request);
        async move {
            match sending.await {
                // `Upgrade` is never forwarded, so no server may answer 101 (RFC 9110 §15.2.2).
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    Err(UpstreamError::SwitchedProtocols)
                }
                Ok(response) => Ok(response.map(|incoming| AnswerBody::new(incoming, self))),
                Err(failed) => Err(self.failure(failed)),
            }
        }
    }

    fn failure(&self, mut failed: TrySendError<Request<B>>) -> UpstreamError {
        // The request comes back only when nothing of it was written.
        let never_sent = failed.take_message().is_some();
        let source = failed.into_error();
        if never_sent {
            UpstreamError::NeverSent(source)
        } else if source.is_user() {
            UpstreamError::CallerBody(source)
        } else if source.is_parse() || source.is_parse_too_large() {
            UpstreamError::Invalid(source)
        } else {
            UpstreamError::Broken {
                reused: self.reused,
                source,
            }
        }
    }
}

/// The body of the server's answer, streamed.
#[derive(Debug)]
pub struct AnswerBody<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    incoming: Incoming,
    lease: Option<Lease<B>>,
}

impl<B> AnswerBody<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn new(incoming: Incoming, lease: Lease<B>) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
        };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.client.keep(lease.sender);
        }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) if self.incoming.is_end_stream() => self.give_back(),
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
