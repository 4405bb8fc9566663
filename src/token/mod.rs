//! The token path: one cell per scope, renewed in the background, read
//! wait-free.
//!
//! | file | what it is |
//! |---|---|
//! | `engine` | all cells of one credential: endpoint, secret, reload |
//! | `cell` | one scope's token as requests see it; `cell::writer` is the renewal task's side |
//! | `renewer` | the task behind a cell: wait until due, get a token, publish, say so in the log |
//! | `attempt` | one try: a call, and a second one when the first is silent |
//! | `endpoint` | one call over HTTP; what its reply means is `dqe::dialect` |
//! | `schedule` | pure: when a cell asks, and what an outcome means (`pause`, `repeats`, `forcing`) |
//! | `credential` | pure: what the cells know together, so that one probes for all |
//! | `secrets` | which secret is tried, and when a file that holds one has changed |
//! | `timing`, `moment` | every duration, scaled with a token's life; two clocks in one instant |
//! | `access_token`, `error`, `view`, `fetch` | the value with one door, reasons, what operators see, one call for a person |

mod access_token;
mod attempt;
mod cell;
mod credential;
mod endpoint;
mod engine;
mod error;
mod fetch;
mod forcing;
mod moment;
mod pause;
mod renewer;
mod repeats;
mod schedule;
#[cfg(test)]
mod scripted;
mod secrets;
#[cfg(test)]
mod simulation;
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
    /// Where the secret that is to take its place is read from, while there
    /// are two: tried when the first is refused.
    pub next_client_secret: Option<SecretSource>,
    /// Scopes to keep a token for.
    pub scopes: Vec<Scope>,
    /// Longest time for a TCP and TLS connection to the endpoint.
    pub connect_timeout: Duration,
}
