//! One DQE service: its server, the connections to it, and the one way to
//! send a request on them. Knows no token and no route.

mod addresses;
mod answer_head;
mod client;
mod connect;
mod connection;
mod error;
#[doc(hidden)]
pub mod hot_parts;
mod race;
mod request_head;
mod server;
mod tls;
mod uploading;

use std::sync::Arc;
use std::time::Duration;

use crate::quota::Quota;

pub use client::{AnswerBody, Client, Counts, Lease, Outgoing, SharedTls};
pub use error::{AnswerError, InvalidHead, UpstreamError};
pub use server::{InvalidServer, Server};

/// The server and how connections to it are made and kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The DQE server.
    pub server: Server,
    /// Longest time for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept; below the server's own limit.
    pub idle_timeout: Duration,
    /// Unused connections kept per worker thread.
    pub max_idle: usize,
    /// How long a connection is used before a new one takes its place, which may lead
    /// to another address of the server; up to a quarter less for some, so that
    /// connections made together do not end together.
    pub max_lifetime: Duration,
    /// Most requests at the server at the same time, over all worker threads; 0 is any number.
    pub max_requests: usize,
}

impl Settings {
    /// The places for requests at the server, for the clients of this many threads;
    /// `None` when their number is not limited.
    #[must_use]
    pub fn limit(&self, threads: usize) -> Option<Arc<Quota>> {
        (self.max_requests > 0).then(|| Quota::new(self.max_requests, threads))
    }
}
