//! Finds out what keeps the proxy from working, in the order of a call's life: name → connection
//! and TLS → HTTP → a token per scope → one harmless call per family with each carriage. It
//! works with what the proxy itself works with: the same server, trust, credential and client.
//!
//! | file | what it is |
//! |---|---|
//! | `examination` | the steps, one after the other, each with a time-out |
//! | `reach` | name, connection, TLS: how far a connection gets |
//! | `exchange` | one request and what came back, bounded in time and size |
//! | `sample` | the harmless calls, and what an answer to one means |
//! | `observation` | what was seen, as data |
//! | `diagnosis`, `tokens`, `calls` | pure: from what was seen to causes, whose side they are on, what to do |
//! | `steps` | steps in words |
//! | `report` | steps and findings, for whoever prints them |
//!
//! No report holds a token, a secret, a licence code or a byte of an answer's body.

mod calls;
mod diagnosis;
mod examination;
mod exchange;
mod observation;
mod reach;
mod report;
mod sample;
mod steps;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

pub use examination::examine;
pub use report::{Finding, Report, Side, Step, Verdict};
pub use sample::{SAMPLES, Sample};

use crate::dqe::Carriage;
use crate::{token, upstream};

/// What is examined.
#[derive(Debug)]
pub struct Plan {
    /// The DQE server, as calls are forwarded to it.
    pub upstream: upstream::Settings,
    /// The trust and TLS policy connections are made with.
    pub tls: Arc<rustls::ClientConfig>,
    /// The token endpoint and the credential.
    pub token: token::Settings,
    /// The token endpoint of ID Mobile, where that is on. Its path is not called:
    /// a call acts.
    pub id_mobile: Option<token::Settings>,
    /// The client token calls are made with.
    pub token_client: token::Client,
    /// The calls to make, none for none.
    pub calls: Vec<Planned>,
    /// Longest wait for the answer to one call.
    pub patience: Duration,
}

/// A sample call of a path the proxy forwards.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// What is called.
    pub sample: &'static Sample,
    /// The scope of its route.
    pub scope: crate::dqe::Scope,
    /// How the settings let the token travel there.
    pub carriage: Carriage,
}
