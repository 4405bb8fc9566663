//! Accepts callers' connections and speaks HTTP/1 with them, and HTTP/2 where it is
//! switched on. Knows no route and no token.

mod answer_head;
mod connection;
mod crowd;
pub mod hot_parts;
mod http2;
mod listener;
mod places;
mod progress;
mod refusal;
mod request_head;
mod sending;
mod stream;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::caller::AllowList;

pub use crowd::Crowd;
pub use listener::{Acceptor, bind};
pub use places::Places;

/// The listener callers use, and how patient it is with them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers connect; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// Who may connect; anybody else is disconnected before a byte is read.
    pub allow: AllowList,
    /// Worker threads, each with its own connections and its own upstream pool.
    pub threads: NonZeroUsize,
    /// Most callers connected at the same time, over all threads; 0 is what the
    /// limit of open files allows.
    pub max_connections: usize,
    /// Most connections from one address, over all threads; 0 is any number.
    pub max_connections_per_caller: usize,
    /// Most requests answered at the same time, over all threads; 0 is any number.
    pub max_requests: usize,
    /// Bytes of memory from which on fewer requests are answered at the same time;
    /// 0 is three quarters of what the system grants, if it says so.
    pub max_memory: u64,
    /// Longest head of a request, in bytes.
    pub max_head: usize,
    /// Most fields in it.
    pub max_fields: usize,
    /// Whether HTTP/2 is spoken with callers that begin with it (RFC 9113 §3.3).
    pub h2c: bool,
    /// Longest time from the first byte of a request head to its end.
    pub header_timeout: Duration,
    /// How long a connection may stay open with no request on it.
    pub idle_timeout: Duration,
    /// How long whoever answers bears with a caller that takes nothing of an answer: what
    /// it has taken is looked for in time.
    pub body_idle_timeout: Duration,
    /// How a stop is carried out.
    pub drain: DrainSettings,
}

/// How a stop is carried out.
#[derive(Clone, Copy, Debug)]
pub struct DrainSettings {
    /// Time between turning unready and no longer accepting, for balancers to notice.
    pub delay: Duration,
    /// Longest time given to requests that are still running.
    pub timeout: Duration,
}
