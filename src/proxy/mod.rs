//! The request path.

pub mod route;

use std::time::Duration;

/// What the request path is told by the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host names answered, in lower case without port; empty answers all.
    pub hosts: Vec<String>,
    /// Origins (`https://intranet.example`) whose pages may call across sites.
    pub origins: Vec<String>,
    /// Longest time from the request being sent to the head of the answer.
    pub first_byte_timeout: Duration,
    /// Longest silence while a body is on its way, in either direction.
    pub body_idle_timeout: Duration,
    /// Longest time a request may take in all, its answer's body included.
    pub total_timeout: Duration,
    /// Longest time a caller is held when there is no usable token.
    pub token_wait: Duration,
    /// Routes in order of rising precedence: the catalogue first, `[[route]]` after it.
    pub routes: Vec<route::Rule>,
}
