//! The forwarding HTTP/1.1 client: one per worker thread, with a
//! last-in-first-out pool of kept connections.
//!
//! It is our own, on httparse, because the request path is what this project
//! is for: no task and no channel per connection, the request's fields written
//! straight from the caller's, an answer's values sliced from what was read.
//! Last in, first out keeps the warmest connections busy and lets the others
//! reach their idle limit. The pool is touched by its own thread only, so it
//! has no lock.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::{Body, Frame, SizeHint};

use super::addresses::Addresses;
use super::connect::connect;
use super::connection::{Awaited, Connection};
use super::request_head;
use super::tls::Scratch;
use super::uploading::Uploading;
use super::{AnswerError, Settings, UpstreamError};
use crate::http1::{Chunked, Framing, Response, Spare};
use crate::quota::{Place, Quota, Share};

/// The TLS policy connections are made with; a reload puts a new one in.
pub type SharedTls = Arc<ArcSwap<rustls::ClientConfig>>;

/// Sends requests to one server. Not `Send`: it belongs to its worker thread.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    tls: SharedTls,
    /// The policy the kept connections were made with.
    tls_in_use: RefCell<Arc<rustls::ClientConfig>>,
    /// How many policies there have been before it.
    policy: Cell<u32>,
    idle: RefCell<Vec<Kept>>,
    /// Where connections go.
    addresses: Addresses,
    /// What its connections read into.
    scratch: Scratch,
    counts: Counts,
    /// `None` when any number of requests may be at the server.
    limit: Option<Share>,
    /// What the next answer is read into.
    spare: Rc<Spare>,
}

/// Room for one request at the server, where there is a limit.
type Room = Option<Place>;

/// Connections made and ended, ever.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Connections to the server that were made.
    pub opened: Rc<Cell<u64>>,
    /// Connections to the server that have ended.
    pub closed: Rc<Cell<u64>>,
}

#[derive(Debug)]
struct Kept {
    connection: Open,
    since: Instant,
}

/// A connection that is counted as closed when it is dropped.
#[derive(Debug)]
struct Open {
    connection: Box<Connection>,
    /// Number of the policy it was made with.
    policy: u32,
    /// When it is to be replaced; see [`Settings::max_lifetime`].
    retires: Instant,
    closed: Rc<Cell<u64>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.closed.set(self.closed.get() + 1);
    }
}

impl Client {
    /// A client without connections. `at_server` is shared with the clients of other
    /// threads that send to the same server; see [`Settings::limit`]. `spare` is what
    /// answers are read into.
    #[must_use]
    pub fn new(
        settings: Settings,
        tls: SharedTls,
        at_server: Option<Arc<Quota>>,
        spare: Rc<Spare>,
    ) -> Rc<Self> {
        let tls_in_use = RefCell::new(tls.load_full());
        let idle = RefCell::new(Vec::with_capacity(settings.max_idle.min(64)));
        Rc::new(Self {
            limit: at_server.map(Quota::share),
            settings,
            tls,
            tls_in_use,
            policy: Cell::new(0),
            idle,
            addresses: Addresses::default(),
            scratch: Scratch::default(),
            counts: Counts::default(),
            spare,
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

    /// Room for one more request; `None` when there is none.
    fn room(&self) -> Option<Room> {
        match &self.limit {
            Some(share) => share.take().map(Some),
            None => Some(None),
        }
    }

    /// A connection kept from an earlier request that is still quiet: neither
    /// closed by the server nor holding bytes nobody asked for. `None`, too,
    /// when the server has as many requests as it may have.
    #[must_use]
    pub fn take_kept(self: &Rc<Self>, now: Instant) -> Option<Lease> {
        self.follow_reload();
        let room = self.room()?;
        loop {
            let mut kept = self.idle.borrow_mut().pop()?;
            let is_young = now.duration_since(kept.since) < self.settings.idle_timeout;
            if is_young && kept.connection.connection.is_quiet() {
                let client = Rc::clone(self);
                return Some(Lease {
                    open: kept.connection,
                    client,
                    reused: true,
                    _room: room,
                });
            }
        }
    }

    /// Makes a new connection. Has no deadline of its own: whoever awaits it
    /// sets one.
    ///
    /// # Errors
    /// [`UpstreamError::Full`], and resolve, connect or TLS failures; nothing was
    /// sent in any of them.
    pub async fn connect(self: &Rc<Self>) -> Result<Lease, UpstreamError> {
        let room = self.room().ok_or(UpstreamError::Full)?;
        self.follow_reload();
        let policy = self.policy.get();
        let tls = Arc::clone(&self.tls_in_use.borrow());
        let stream = connect(&self.settings.server, &self.addresses, tls, &self.scratch).await?;
        let number = self.counts.opened.get();
        self.counts.opened.set(number + 1);
        let open = Open {
            connection: Box::new(Connection::new(stream, Rc::clone(&self.spare))),
            policy,
            retires: Instant::now() + lifetime(self.settings.max_lifetime, number),
            closed: Rc::clone(&self.counts.closed),
        };
        Ok(Lease {
            open,
            client: Rc::clone(self),
            reused: false,
            _room: room,
        })
    }

    /// Closes kept connections that have been unused or used for too long or were
    /// closed by the server, and lets go of buffers. To be called now and then.
    pub fn sweep(&self, now: Instant) {
        self.spare.buffers.clear();
        self.follow_reload();
        self.idle.borrow_mut().retain_mut(|kept| {
            now.duration_since(kept.since) < self.settings.idle_timeout
                && now < kept.connection.retires
                && kept.connection.connection.is_quiet()
        });
    }

    /// What answers are read into: what is put there serves the next one.
    #[must_use]
    pub fn spare(&self) -> &Rc<Spare> {
        &self.spare
    }

    /// After a reload, connections made under the old trust are not used again.
    fn follow_reload(&self) {
        let current = self.tls.load();
        if !Arc::ptr_eq(&current, &self.tls_in_use.borrow()) {
            *self.tls_in_use.borrow_mut() = Arc::clone(&current);
            self.policy.set(self.policy.get().wrapping_add(1));
            self.idle.borrow_mut().clear();
        }
    }

    fn keep(&self, mut connection: Open) {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.settings.max_idle
            && now < connection.retires
            && connection.policy == self.policy.get()
        {
            connection.connection.rest();
            idle.push(Kept {
                connection,
                since: now,
            });
        }
    }
}

/// How long the connection of this number is used, `longest` or up to a quarter
/// less: those that were made together, at a start or after an outage, do not end
/// together.
fn lifetime(longest: Duration, number: u64) -> Duration {
    // Numbers that follow each other lie far apart.
    let sixteenth = u32::try_from(number.wrapping_mul(7) % 16).unwrap_or_default();
    longest - longest / 64 * sixteenth
}

/// A request as it goes to the server: origin-form, `Host` and the framing of
/// its body are the client's to write. Not shown anywhere: its target may hold
/// a credential and personal data.
pub struct Outgoing<'a, T, F, B> {
    /// The method.
    pub method: &'a Method,
    /// Appends path and query.
    pub target: T,
    /// Name, in lower case, and value of every field but `Host` and
    /// `Transfer-Encoding`; with `Content-Length` when the body's length is known.
    pub fields: F,
    /// The body; `None` when there is none.
    pub body: Option<B>,
}

/// A connection held for one request.
#[derive(Debug)]
pub struct Lease {
    open: Open,
    client: Rc<Client>,
    reused: bool,
    _room: Room,
}

impl Lease {
    /// Sends a request and waits for the head of the answer. The connection
    /// returns to the pool when the answer's body has been read to its end and
    /// nothing is left over; it is closed when this future or that body is
    /// dropped earlier, so no work outlives its caller.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub fn send<'a, B: Body<Data = Bytes>>(
        mut self,
        request: Outgoing<
            'a,
            impl FnOnce(&mut BytesMut),
            impl Iterator<Item = (&'a [u8], &'a [u8])>,
            B,
        >,
    ) -> impl Future<Output = Result<Response<AnswerBody<B>>, UpstreamError>> {
        let connection = &mut *self.open.connection;
        let to_head = *request.method == Method::HEAD;
        let framing = request_head::write_request(
            &mut connection.output,
            request.method,
            request.target,
            self.client.settings.server.authority(),
            request.fields,
            request.body.is_none(),
        );
        connection.begin();
        let mut upload = request.body.map(|body| Uploading::new(body, framing));
        let mut interim = 0;
        async move {
            let head = poll_fn(|cx| {
                let mut awaited = Awaited {
                    to_head,
                    reused: self.reused,
                    interim,
                };
                let polled = self
                    .open
                    .connection
                    .poll_head(cx, &mut upload, &mut awaited);
                interim = awaited.interim;
                polled
            })
            .await?;
            let mut body = AnswerBody {
                framing: head.framing,
                chunked: Chunked::default(),
                upload,
                lease: Some(self),
                reusable: head.reusable,
            };
            body.give_back_at_end();
            Ok(Response {
                head: head.head,
                body,
            })
        }
    }
}

/// The body of the server's answer, streamed.
#[derive(Debug)]
pub struct AnswerBody<B> {
    framing: Framing,
    chunked: Chunked,
    /// The request's body, when the answer came before its end.
    upload: Option<Uploading<B>>,
    lease: Option<Lease>,
    reusable: bool,
}

impl<B> AnswerBody<B> {
    /// At its end the connection goes back to the pool, if nothing of this
    /// exchange is left on it.
    fn give_back_at_end(&mut self) {
        if self.framing == Framing::None
            && let Some(lease) = self.lease.take()
            && self.reusable
            && self.upload.is_none()
            && lease.open.connection.is_at_rest()
        {
            lease.client.keep(lease.open);
        }
    }
}

impl<B: Body<Data = Bytes>> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = self.get_mut();
        let Some(lease) = &mut this.lease else {
            return Poll::Ready(None);
        };
        let connection = &mut *lease.open.connection;
        connection.move_upload(cx, &mut this.upload);
        let polled = connection.poll_body(cx, &mut this.framing, &mut this.chunked);
        match &polled {
            Poll::Ready(Some(Err(_))) => this.lease = None,
            Poll::Ready(_) => this.give_back_at_end(),
            Poll::Pending => {}
        }
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.framing == Framing::None
    }

    fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::None => SizeHint::with_exact(0),
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Chunked | Framing::Close => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::egress::{self, Egress};
    use crate::upstream::Server;

    fn client_of(port: u16, max_idle: usize) -> Rc<Client> {
        let settings = Settings {
            server: Server::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            max_idle,
            max_lifetime: Duration::from_secs(60),
            max_requests: 0,
        };
        let egress = Egress::build(&egress::Settings::default(), false).unwrap();
        Client::new(
            settings,
            Arc::new(ArcSwap::new(egress.tls())),
            None,
            Rc::default(),
        )
    }

    /// A connection, and the server's end of it.
    async fn connected(client: &Rc<Client>, listener: &TcpListener) -> (Lease, TcpStream) {
        let (lease, accepted) = tokio::join!(client.connect(), listener.accept());
        (lease.unwrap(), accepted.unwrap().0)
    }

    /// The runtime lets a task read so many times in one turn and then says that
    /// there is nothing, whatever there is.
    #[tokio::test]
    async fn of_a_great_many_connections_that_the_server_has_closed_none_is_used_again() {
        const MANY: usize = 300;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client_of(listener.local_addr().unwrap().port(), MANY);
        let mut ends = Vec::new();
        for _ in 0..MANY {
            let (lease, end) = connected(&client, &listener).await;
            client.keep(lease.open);
            ends.push(end);
        }
        let (last, end) = connected(&client, &listener).await;
        drop(ends);
        drop(end);
        // When the runtime knows of the last end, it knows of those before.
        let in_vain = Outgoing {
            method: &Method::GET,
            target: |out: &mut BytesMut| out.extend_from_slice(b"/"),
            fields: std::iter::empty(),
            body: None::<Empty<Bytes>>,
        };
        assert!(last.send(in_vain).await.is_err());
        assert!(client.take_kept(Instant::now()).is_none());
        assert_eq!(client.counts.closed.get(), MANY as u64 + 1);
    }
}
