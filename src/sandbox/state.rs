//! What all connections of one sandbox share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, broadcast};

use super::counters::{Counters, Tally};
use super::fault::{Drawn, Faults, SetFault, Subject};
use super::fault_grammar::FaultError;
use super::journal::{Entry, Journal, Mask};
use super::json::Object;
use super::random::Random;
use super::scope::Scope;
use super::settings::Settings;
use super::switches::{ByFamily, SwitchError};
use super::token::Tokens;
use super::token_endpoint::Client;

/// Answered requests a slow watcher may lag behind before it misses some.
const WATCHED: usize = 1024;

pub(crate) struct State {
    pub(crate) tally: Tally,
    tokens: Mutex<Tokens>,
    client: ArcSwap<Client>,
    /// Every secret that was ever accepted: none of them is printed.
    secrets: Mutex<Vec<String>>,
    switches: ArcSwap<ByFamily>,
    switching: Mutex<()>,
    faults: Mutex<Faults>,
    /// How many faults are set, so that a request with none to look at takes no lock.
    fault_count: AtomicUsize,
    journal: Mutex<Journal>,
    answered: broadcast::Sender<Entry>,
    /// Told whenever a request arrives or ends.
    pub(crate) changed: Notify,
    connections: AtomicU64,
}

impl State {
    pub(crate) fn new(settings: &Settings) -> Result<Self, FaultError> {
        let mut random = Random::seeded(settings.seed);
        let mut faults = Faults::new(Random::seeded(Some(random.next())));
        for text in &settings.faults {
            faults.set(text)?;
        }
        let client = Client {
            id: settings.client_id.clone(),
            secrets: settings.client_secrets.clone(),
            granted: settings.granted.clone(),
        };
        Ok(Self {
            tally: Tally::default(),
            tokens: Mutex::new(Tokens::new(random)),
            client: ArcSwap::from_pointee(client),
            secrets: Mutex::new(settings.client_secrets.clone()),
            switches: ArcSwap::from_pointee(ByFamily::new(settings.switches.clone())),
            switching: Mutex::new(()),
            fault_count: AtomicUsize::new(faults.len()),
            faults: Mutex::new(faults),
            journal: Mutex::new(Journal::new(settings.journal_size)),
            answered: broadcast::channel(WATCHED).0,
            changed: Notify::new(),
            connections: AtomicU64::new(0),
        })
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        locked(&self.tokens)
    }

    pub(crate) fn client(&self) -> arc_swap::Guard<std::sync::Arc<Client>> {
        self.client.load()
    }

    pub(crate) fn switches(&self) -> arc_swap::Guard<std::sync::Arc<ByFamily>> {
        self.switches.load()
    }

    pub(crate) fn set_switch(&self, name: &str, value: &str) -> Result<(), SwitchError> {
        // Two writers must not lose each other's change.
        let _one_at_a_time = locked(&self.switching);
        let mut switches = self.switches.load().written().clone();
        switches.set(name, value)?;
        self.switches.store(ByFamily::new(switches).into());
        Ok(())
    }

    pub(crate) fn set_token_life(&self, life: std::time::Duration) {
        let _one_at_a_time = locked(&self.switching);
        let mut switches = self.switches.load().written().clone();
        switches.set_token_life(life);
        self.switches.store(ByFamily::new(switches).into());
    }

    pub(crate) fn set_secrets(&self, secrets: Vec<String>) {
        let mut known = locked(&self.secrets);
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            if !known.contains(secret) {
                known.push(secret.clone());
            }
        }
        drop(known);
        let client = Client {
            secrets,
            ..Client::clone(&self.client.load())
        };
        self.client.store(client.into());
    }

    pub(crate) fn grant(&self, granted: Vec<Scope>) {
        let client = Client {
            granted,
            ..Client::clone(&self.client.load())
        };
        self.client.store(client.into());
    }

    pub(crate) fn revoke(&self, scope: Option<Scope>) -> usize {
        self.tokens().revoke(scope, now())
    }

    pub(crate) fn set_fault(&self, text: &str) -> Result<u64, FaultError> {
        self.change_faults(|faults| faults.set(text))
    }

    pub(crate) fn clear_fault(&self, id: u64) -> bool {
        self.change_faults(|faults| faults.clear(id))
    }

    pub(crate) fn clear_faults(&self) {
        self.change_faults(Faults::clear_all);
    }

    pub(crate) fn faults(&self) -> Vec<SetFault> {
        locked(&self.faults).list()
    }

    pub(crate) fn has_early_answer(&self) -> bool {
        self.fault_count.load(Ordering::Acquire) > 0 && locked(&self.faults).has_early_answer()
    }

    pub(crate) fn draw_faults(&self, subject: Subject<'_>, early: bool) -> Vec<Drawn> {
        if self.fault_count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        locked(&self.faults).draw(subject, early)
    }

    pub(crate) fn next_connection(&self) -> u64 {
        super::counters::count(&self.tally.connections);
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn received(&self, entry: Entry) -> u64 {
        let sequence = locked(&self.journal).push(entry);
        self.changed.notify_waiters();
        sequence
    }

    /// Closes an entry and shows it to whoever watches.
    pub(crate) fn ended(&self, sequence: u64, status: Option<u16>, abandoned: bool) {
        if abandoned {
            super::counters::count(&self.tally.abandoned);
        }
        let entry = locked(&self.journal).ended(
            sequence,
            status,
            abandoned,
            self.answered.receiver_count() > 0,
        );
        self.changed.notify_waiters();
        if let Some(entry) = entry {
            // Nobody watches any more: nothing to do.
            let _ = self.answered.send(entry);
        }
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Entry> {
        self.answered.subscribe()
    }

    pub(crate) fn journal_after(&self, sequence: u64) -> Vec<Entry> {
        locked(&self.journal).after(sequence)
    }

    pub(crate) fn clear_journal(&self) {
        locked(&self.journal).clear();
    }

    pub(crate) fn shown(&self, entry: &Entry) -> Object {
        entry.shown(&Mask {
            secrets: &locked(&self.secrets),
        })
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.read()
    }

    fn change_faults<Answer>(&self, change: impl FnOnce(&mut Faults) -> Answer) -> Answer {
        let mut faults = locked(&self.faults);
        let answer = change(&mut faults);
        self.fault_count.store(faults.len(), Ordering::Release);
        answer
    }
}

/// The clock, read at the rim only.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A lock whose holder panicked still guards valid data here: every change is one assignment.
fn locked<Value>(mutex: &Mutex<Value>) -> MutexGuard<'_, Value> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
