//! The second listener, for operators: health and metrics.

use std::net::SocketAddr;

/// Where operators connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Listening address; `None` switches the admin listener off.
    pub address: Option<SocketAddr>,
}
