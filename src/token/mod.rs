//! The token path: one cell per scope, renewed in the background, read
//! wait-free.

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
