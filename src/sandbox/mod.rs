//! A fake DQE: token endpoint, business paths, journal, faults by name.
//!
//! For people without an account (`dqe-proxy sandbox`), for the demonstration and for the tests.
//! It imports nothing of the proxy, so that one mistake cannot sit on both sides of a test; its
//! paths and scopes are written from DQE's documentation on their own.
//!
//! The life of a request: [`server`] accepts → [`connection`] reads it ([`wire`], [`message`],
//! [`parameters`]), finds its [`route`], draws [`fault`]s, judges its [`credential`] against the
//! [`token`]s, looks for violations ([`inspect`]) and journals it ([`journal`], [`counters`]) →
//! [`answer`] computes what a healthy DQE says ([`token_endpoint`], [`refusal`], and one file per
//! family) → [`connection`] writes it, or spoils it.
//!
//! What nobody outside DQE knows is a switch, see [`switches`]. [`control`] offers all of this
//! over HTTP on a second port.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! use dqe_proxy::sandbox::{Sandbox, Settings, Violation};
//!
//! let sandbox = Sandbox::start(Settings::default()).await?;
//! sandbox.set_switch("token-life", "1500ms")?;
//! sandbox.set_fault("token:status=503,retry-after=2,times=3")?;
//! // … let the proxy call sandbox.url() …
//! assert_eq!(sandbox.counters().violation(Violation::ExpiredToken), 0);
//! # Ok(()) }
//! ```

mod address;
mod address_check;
mod address_rest;
mod answer;
mod certificate;
mod company;
mod confirmation;
mod connection;
mod control;
mod counters;
mod credential;
mod data;
mod date;
mod delivery;
mod email;
mod fault;
pub mod fault_grammar;
mod gzip;
mod household;
mod inspect;
mod journal;
mod json;
mod message;
mod mobile;
mod name;
mod parameters;
mod phone;
mod place;
mod random;
mod refusal;
mod route;
mod scope;
mod server;
mod settings;
mod spelling;
mod state;
mod switches;
mod token;
mod token_endpoint;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

pub use certificate::CertificateError;
pub use counters::{Counters, Violation};
pub use credential::{Carrier, Kind as CredentialKind, Presented};
pub use fault::SetFault;
pub use fault_grammar::FaultError;
pub use journal::Entry;
pub use message::Version;
pub use route::Family;
pub use scope::Scope;
pub use settings::Settings;
pub use switches::{
    Carriage, ContentType, Differences, ErrorBody, ExpiresIn, Nothing, SwitchError, Switches,
    TokenReuse, parse_duration,
};
pub use token::Standing;
pub use token_endpoint::Outcome;

use server::{Listening, Order};
use state::State;

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A fault given at start cannot be read.
    #[error("a fault cannot be read")]
    Fault(#[from] FaultError),
    /// HTTPS was asked for and has no certificate.
    #[error("HTTPS has no certificate")]
    Certificate(#[from] CertificateError),
}

/// A running fake DQE. Cloning gives another handle; dropping the last one stops it.
///
/// Its tasks live on the runtime that called [`Sandbox::start`]; every method may be called from
/// any runtime, and those that are not `async` from any thread.
#[derive(Clone)]
pub struct Sandbox {
    running: Arc<Running>,
}

struct Running {
    state: Arc<State>,
    business: Listening,
    control: Listening,
    authority_pem: Option<String>,
}

impl Sandbox {
    /// Binds both addresses and begins to answer.
    ///
    /// # Errors
    /// When an address cannot be bound, a fault cannot be read or no certificate can be made.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let state = Arc::new(State::new(&settings)?);
        let identity = if settings.https {
            Some(certificate::identity()?)
        } else {
            None
        };
        let (tls, authority_pem) = match identity {
            Some(identity) => (Some(identity.acceptor), Some(identity.authority_pem)),
            None => (None, None),
        };
        let bind = |address| move |source| StartError::Bind { address, source };
        let serve = server::business(state.clone(), tls);
        let business = server::listen(settings.address, state.clone(), serve)
            .await
            .map_err(bind(settings.address))?;
        let serve = control::serve(state.clone());
        let control = server::listen(settings.control_address, state.clone(), serve)
            .await
            .map_err(bind(settings.control_address))?;
        Ok(Self {
            running: Arc::new(Running {
                state,
                business,
                control,
                authority_pem,
            }),
        })
    }

    /// Where the API and the token endpoint listen, the port filled in.
    pub fn address(&self) -> SocketAddr {
        self.running.business.address
    }

    /// `http://127.0.0.1:8600` or `https://…`, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.running.authority_pem.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address())
    }

    /// Where the control endpoints listen.
    pub fn control_address(&self) -> SocketAddr {
        self.running.control.address
    }

    /// `http://127.0.0.1:8601`, without a slash at the end.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address())
    }

    /// The certificate authority to trust; none without HTTPS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.running.authority_pem.as_deref()
    }

    /// What was received and is still remembered, oldest first.
    pub fn journal(&self) -> Vec<Entry> {
        self.journal_after(0)
    }

    /// What was received after this sequence number.
    pub fn journal_after(&self, sequence: u64) -> Vec<Entry> {
        self.running.state.journal_after(sequence)
    }

    /// Business requests alone: the journal without the token endpoint.
    pub fn business_journal(&self) -> Vec<Entry> {
        self.journal()
            .into_iter()
            .filter(|entry| !entry.token_endpoint)
            .collect()
    }

    /// Forgets the journal; counters and sequence numbers go on.
    pub fn clear_journal(&self) {
        self.running.state.clear_journal();
    }

    /// Entries as their requests end, from now on.
    pub fn watch(&self) -> broadcast::Receiver<Entry> {
        self.running.state.watch()
    }

    /// Waits until `holds`, looking again whenever a request arrives or ends; false when `within`
    /// is over first. Saves tests from sleeping.
    pub async fn until(&self, within: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let looking = async {
            loop {
                let mut changed = pin!(self.running.state.changed.notified());
                // Listens before it looks, so that no change falls in between.
                changed.as_mut().enable();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(within, looking).await.is_ok()
    }

    /// A reading of the counters.
    pub fn counters(&self) -> Counters {
        self.running.state.counters()
    }

    /// Sets every counter back to 0.
    pub fn reset_counters(&self) {
        self.running.state.tally.reset();
    }

    /// Sets a fault, in the grammar of [`fault_grammar`]; answers the number to clear it by.
    ///
    /// # Errors
    /// When the text cannot be read; the sentence says what exists.
    pub fn set_fault(&self, text: &str) -> Result<u64, FaultError> {
        self.running.state.set_fault(text)
    }

    /// Takes a fault away; whether it was there.
    pub fn clear_fault(&self, id: u64) -> bool {
        self.running.state.clear_fault(id)
    }

    /// Takes every fault away.
    pub fn clear_faults(&self) {
        self.running.state.clear_faults();
    }

    /// The faults that are set, with how many requests each hit.
    pub fn faults(&self) -> Vec<SetFault> {
        self.running.state.faults()
    }

    /// The switches as they stand.
    pub fn switches(&self) -> Switches {
        self.running.state.switches().written().clone()
    }

    /// Changes a switch from now on.
    ///
    /// # Errors
    /// When the name or the value is unknown; the sentence says what exists.
    pub fn set_switch(&self, name: &str, value: &str) -> Result<(), SwitchError> {
        self.running.state.set_switch(name, value)
    }

    /// How long the next tokens live. They are announced in whole seconds, rounded down.
    pub fn set_token_life(&self, life: Duration) {
        self.running.state.set_token_life(life);
    }

    /// Revokes every token issued so far; answers how many were live.
    pub fn revoke_all_tokens(&self) -> usize {
        self.running.state.revoke(None)
    }

    /// Revokes every token of a scope issued so far; answers how many were live.
    pub fn revoke(&self, scope: Scope) -> usize {
        self.running.state.revoke(Some(scope))
    }

    /// From now on only this secret is accepted. Issued tokens live on.
    pub fn rotate_secret(&self, secret: impl Into<String>) {
        self.running.state.set_secrets(vec![secret.into()]);
    }

    /// From now on these secrets are accepted.
    pub fn accept_secrets(&self, secrets: Vec<String>) {
        self.running.state.set_secrets(secrets);
    }

    /// From now on the licence is entitled to these scopes.
    pub fn grant(&self, scopes: Vec<Scope>) {
        self.running.state.grant(scopes);
    }

    /// Stops listening: connections are refused, open ones are closed, and the port stays
    /// taken. The control port stays.
    pub async fn pause_listening(&self) {
        let (done, carried_out) = oneshot::channel();
        self.order(Order::Pause(done), carried_out).await;
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// When the port could not be kept and is another's now, or the sandbox was shut down.
    pub async fn resume_listening(&self) -> io::Result<()> {
        let (done, carried_out) = oneshot::channel();
        let gone = || Err(io::Error::other("the sandbox was shut down"));
        self.order(Order::Resume(done), carried_out)
            .await
            .unwrap_or_else(gone)
    }

    /// Stops listening on both ports and closes every connection. The journal stays readable.
    pub async fn shutdown(&self) {
        for listening in [&self.running.business, &self.running.control] {
            let (done, carried_out) = oneshot::channel();
            if listening.orders.send(Order::Stop(done)).await.is_ok() {
                // An error means that the task is gone, which is what was asked for.
                let _ = carried_out.await;
            }
        }
    }

    async fn order<Answer>(
        &self,
        order: Order,
        carried_out: oneshot::Receiver<Answer>,
    ) -> Option<Answer> {
        self.running.business.orders.send(order).await.ok()?;
        carried_out.await.ok()
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sandbox")
            .field("url", &self.url())
            .field("control", &self.control_url())
            .finish()
    }
}
