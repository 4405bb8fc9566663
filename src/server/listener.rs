//! The listening socket, and the loop that takes connections from it.
//!
//! All worker threads wait on one listening socket. `SO_REUSEPORT` sockets of
//! their own would let a foreign process bind the port unnoticed and spread
//! few long-lived callers by hash; one accepting thread would add a hop to
//! each connection. With one shared socket an idle thread takes what a busy
//! one leaves, and a second process fails to bind.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Settings;
use super::connection::{self, Shared};
use super::crowd::Crowd;
use super::places::Places;
use super::refusal::{Reason, refuse};
use super::stream;
use crate::caller::Caller;
use crate::deadline::Deadlines;
use crate::http1::{Incoming, RequestHead, Response, Spare};
use crate::metrics::{Metrics, WorkerMetrics};
use crate::telemetry::LogThrottle;

/// Connections the kernel keeps for us until a worker is free; the system's
/// own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;
/// Pause after a failed accept, for example when descriptors have run out:
/// the failure persists until something is closed, so an instant retry would
/// only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Refused callers that are given the time to read why; more are cut off.
const MOST_REFUSED: usize = 16;

/// Binds `address`. An IPv6 wildcard takes IPv4 callers as well.
///
/// # Errors
/// When the address is in use or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Accepted sockets have it from here, without a system call for each: an answer
    // is written in as few pieces as it has, and none waits for the one before.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One worker thread's side of the listener.
#[derive(Debug)]
pub struct Acceptor {
    settings: Settings,
    deadlines: Rc<Deadlines>,
    shared: Rc<Shared>,
    places: Arc<Places>,
    /// `None` when an address may have any number of connections.
    crowd: Option<Arc<Crowd>>,
    /// Callers being refused.
    refused: Rc<Cell<usize>>,
    /// What happens often under pressure, for the log.
    shedding: [LogThrottle; 2],
    refusing: LogThrottle,
    failing: LogThrottle,
}

impl Acceptor {
    /// `places` and `crowd` are shared by all threads; `worker` is the index of this
    /// thread's counters in `metrics`; `spare` has the buffers of this thread.
    #[must_use]
    pub fn new(
        settings: Settings,
        places: Arc<Places>,
        crowd: Option<Arc<Crowd>>,
        metrics: Arc<Metrics>,
        worker: usize,
        spare: Rc<Spare>,
    ) -> Self {
        let deadlines = Rc::new(Deadlines::default());
        Self {
            shared: Shared::new(&settings, metrics, worker, spare, Rc::clone(&deadlines)),
            settings,
            deadlines,
            places,
            crowd,
            refused: Rc::default(),
            shedding: Default::default(),
            refusing: LogThrottle::default(),
            failing: LogThrottle::default(),
        }
    }

    /// Sets what answers requests on streams of HTTP/2. Without it a connection of
    /// HTTP/2 is refused.
    pub fn on_streams<H, F, B>(&self, handler: H)
    where
        H: Fn(RequestHead, Incoming, Caller) -> F + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Data = Bytes> + 'static,
    {
        // A second handler is ignored.
        let _ = self.shared.on_streams.set(stream::handler(handler));
    }

    /// The deadlines of this thread's connections; somebody has to run their ticker.
    #[must_use]
    pub fn deadlines(&self) -> &Rc<Deadlines> {
        &self.deadlines
    }

    /// Accepts and serves until `draining` turns true, then takes what already
    /// waits in the backlog, closes the socket, lets every connection finish
    /// the request it has begun, and returns when the last one has ended.
    ///
    /// # Errors
    /// When the socket cannot be used by this thread's runtime.
    pub async fn serve<H, F, B>(
        &self,
        listener: std::net::TcpListener,
        handler: H,
        mut draining: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        H: Fn(RequestHead, Incoming, Caller) -> F + Clone + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Data = Bytes> + 'static,
    {
        let listener = TcpListener::from_std(listener)?;
        loop {
            tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.admit(stream, address, &handler),
                    Err(error) => self.pause_after(&error).await,
                },
            }
        }
        self.take_backlog(listener, &handler)?;
        self.shared.draining.set(true);
        self.deadlines.wake_all();
        self.all_closed().await;
        Ok(())
    }

    /// Serves the callers in the backlog, whose connections the kernel has accepted
    /// already. Asks the socket itself: the runtime knows only what its poller has
    /// seen, and yields now and then.
    fn take_backlog<H, F, B>(&self, listener: TcpListener, handler: &H) -> io::Result<()>
    where
        H: Fn(RequestHead, Incoming, Caller) -> F + Clone + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Data = Bytes> + 'static,
    {
        let listener = listener.into_std()?;
        while let Ok((stream, address)) = listener.accept() {
            stream.set_nonblocking(true)?;
            self.admit(TcpStream::from_std(stream)?, address, handler);
        }
        Ok(())
    }

    fn counts(&self) -> &WorkerMetrics {
        self.shared.counts()
    }

    fn admit<H, F, B>(&self, stream: TcpStream, address: SocketAddr, handler: &H)
    where
        H: Fn(RequestHead, Incoming, Caller) -> F + Clone + 'static,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Data = Bytes> + 'static,
    {
        let address = address.ip().to_canonical();
        if !self.settings.allow.contains(address) {
            self.counts().connections_refused.add(1);
            if let Some(times) = self.refusing.count(Instant::now()) {
                tracing::info!(caller = %address, times, "connection refused: the address is not in listener.allow");
            }
            return;
        }
        let member = match &self.crowd {
            None => None,
            Some(crowd) => match crowd.join(address) {
                Some(member) => Some(member),
                None => return self.shed(stream, address, Reason::CallerHasEnough),
            },
        };
        let Some(place) = self.places.take() else {
            return self.shed(stream, address, Reason::Full);
        };
        self.counts().connections_opened.add(1);
        let registered = self.deadlines.register();
        let shared = Rc::clone(&self.shared);
        let serving =
            connection::serve(stream, address, registered, shared.clone(), handler.clone());
        // On the heap: the runtime moves a task's future several times, three at its end
        // alone, and this one has some KiB.
        let serving = Box::pin(serving);
        tokio::task::spawn_local(async move {
            serving.await;
            drop((place, member));
            shared.counts().connections_closed.add(1);
        });
    }

    /// No place is left: the caller is told at once instead of waiting for one.
    fn shed(&self, stream: TcpStream, caller: IpAddr, reason: Reason) {
        self.counts().connections_shed[reason as usize].add(1);
        if let Some(times) = self.shedding[reason as usize].count(Instant::now()) {
            let setting = reason.setting();
            tracing::warn!(%caller, times, "connection answered with 503: listener.{setting} is reached");
        }
        if self.refused.get() >= MOST_REFUSED {
            return;
        }
        self.refused.set(self.refused.get() + 1);
        let refused = Rc::clone(&self.refused);
        tokio::task::spawn_local(async move {
            refuse(stream, reason).await;
            refused.set(refused.get() - 1);
        });
    }

    /// Waits after a failed accept: it goes on failing until something is closed.
    async fn pause_after(&self, error: &io::Error) {
        let gone = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        );
        // A caller that left while waiting says nothing about the next one.
        if gone {
            return;
        }
        self.counts().accepts_failed.add(1);
        if let Some(times) = self.failing.count(Instant::now()) {
            tracing::warn!(%error, times, "cannot accept connections; trying again");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    async fn all_closed(&self) {
        while !self.deadlines.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_waits_for_no_acknowledgement() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The kernel has the connection before `connect` returns.
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        drop(caller);
    }
}
