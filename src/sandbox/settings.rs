//! What a sandbox is started with. Plain and already valid; text stops at the command line.

use std::net::{Ipv4Addr, SocketAddr};

use super::scope::Scope;
use super::switches::Switches;

/// Settings of one sandbox. [`Default`] suits tests: port 0 on loopback, no TLS.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the API and the token endpoint listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Where the control endpoints listen. They have no authentication: keep it on loopback.
    pub control_address: SocketAddr,
    /// HTTPS with a throwaway certificate authority made at start, see `Sandbox::ca_pem`.
    pub https: bool,
    /// The licence code.
    pub client_id: String,
    /// The accepted secrets; the first is the one shown to people.
    pub client_secrets: Vec<String>,
    /// The scopes the licence is entitled to.
    pub granted: Vec<Scope>,
    /// The switches at start, the life of tokens among them.
    pub switches: Switches,
    /// Faults at start, in the grammar of `sandbox::fault_grammar`.
    pub faults: Vec<String>,
    /// How many requests the journal remembers.
    pub journal_size: usize,
    /// Seed of tokens and of faults' probabilities; none draws one from the system.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            https: false,
            client_id: "SANDBOX".to_owned(),
            client_secrets: vec!["sandbox-secret".to_owned()],
            granted: Scope::OAUTH.to_vec(),
            switches: Switches::default(),
            faults: Vec::new(),
            journal_size: 10_000,
            seed: None,
        }
    }
}
