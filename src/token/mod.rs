//! The token path: one cell per scope, renewed in the background, read
//! wait-free.

mod access_token;
mod attempt;
mod cell;
mod credential;
mod endpoint;
mod engine;
mod error;
mod fetch;
mod moment;
mod renewer;
mod schedule;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod stories;
mod timing;
mod view;

pub use access_token::AccessToken;
pub use cell::Cell;
pub use endpoint::Client;
pub use engine::Engine;
pub use error::{EngineError, Reason, Unavailable};
pub use fetch::{FetchError, Fetched, fetch_once};
pub use moment::Moment;
pub use view::{CellView, Event, State, What};

use std::time::Duration;

use crate::dqe::Scope;
use crate::secret::SecretSource;

/// What the token engine is told by the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// URL of the token endpoint.
    pub url: String,
    /// OAuth2 `client_id`: the DQE licence code. Sensitive: masked wherever shown.
    pub client_id: secrecy::SecretString,
    /// Where the OAuth2 `client_secret` is read from.
    pub client_secret: SecretSource,
    /// Scopes to keep a token for.
    pub scopes: Vec<Scope>,
    /// Longest time for a TCP and TLS connection to the endpoint.
    pub connect_timeout: Duration,
}
