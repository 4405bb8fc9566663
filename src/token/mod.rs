//! The token path: one cell per scope, renewed in the background, read
//! wait-free.
//!
//! | file | what it is |
//! |---|---|
//! | `engine` | all cells of one credential: endpoint, secret, reload |
//! | `cell` | one scope's token as requests see it; `cell::writer` is the renewal task's side |
//! | `renewer` | the task behind a cell: wait until due, get a token, publish, say so in the log |
//! | `attempt` | one try: a call, and a second one when the first is silent |
//! | `endpoint` | one call over HTTP; what is asked is `dqe::TokenRequest`, what the reply means is `dqe::token_reply` |
//! | `schedule` | pure: when a cell asks, and what an outcome means (`pause`, `repeats`, `forcing`) |
//! | `credential` | pure: what the cells know together, so that one probes for all |
//! | `secrets` | which secret is tried, and when a file that holds one has changed |
//! | `timing`, `moment` | every duration, scaled with a token's life; two clocks in one instant |
//! | `access_token`, `error`, `view` | the value with one door, reasons, what operators see |
//! | `fetch`, `obstacle` | one call for a person, and what stood in its way |

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
mod obstacle;
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
pub use obstacle::Obstacle;
pub use view::{CellView, Event, EventKind, TokenState};

use std::time::Duration;

use crate::dqe::token_reply::Reading;
use crate::dqe::{Scope, TokenRequest};
use crate::secret::SecretSource;

/// What the token engine is told by the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// URL of the token endpoint: https, or http to this machine.
    pub url: String,
    /// How a token is asked for.
    pub request: TokenRequest,
    /// How closely a reply has to be the documented one.
    pub reading: Reading,
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
