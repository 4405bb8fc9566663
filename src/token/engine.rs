//! All cells of one credential, with what they share: the endpoint, the
//! secret, and what they know together. Decides nothing about time itself.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};

use super::Settings;
use super::cell::{Cell, Failed};
use super::credential::{Credential, Effect};
use super::endpoint::{Client, Endpoint};
use super::error::{EngineError, Reason};
use super::moment::Moment;
use super::renewer;
use super::view::{Event, History, What};
use crate::dqe::Scope;
use crate::secret::{SecretError, SecretSource};

/// How often a secret that does not work is looked at again.
const SECRET_INTERVAL: Duration = Duration::from_secs(1);

/// All cells of one credential.
pub struct Engine {
    cells: Vec<Arc<Cell>>,
    endpoint: ArcSwap<Endpoint>,
    secret: Mutex<Secret>,
    credential: Mutex<Credential>,
    history: Arc<Mutex<History>>,
    /// Counts changes of the secret and of the client: an attempt that began
    /// before one says nothing about what comes after.
    epoch: AtomicU64,
}

/// The secret as last read.
struct Secret {
    source: SecretSource,
    known: Option<SecretString>,
    looked: Option<Moment>,
}

impl Engine {
    /// Builds the cells. The secret is read, and the first token asked for,
    /// when [`Self::renew_forever`] runs; a secret that cannot be read then is
    /// a state the cells report, and they begin when it appears.
    ///
    /// # Errors
    /// When the URL is no http or https address, or there is no scope.
    pub fn new(settings: Settings, client: Client) -> Result<Arc<Self>, EngineError> {
        let endpoint = Endpoint::new(&settings.url, settings.client_id, client)?;
        let mut scopes = settings.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(EngineError::NoScopes);
        }
        let history = Arc::<Mutex<History>>::default();
        let cell = |scope: &Scope| Arc::new(Cell::new(*scope, Arc::clone(&history)));
        Ok(Arc::new(Self {
            cells: scopes.iter().map(cell).collect(),
            endpoint: ArcSwap::from_pointee(endpoint),
            secret: Mutex::new(Secret {
                source: settings.client_secret,
                known: None,
                looked: None,
            }),
            credential: Mutex::new(Credential::new(scopes.len())),
            history,
            epoch: AtomicU64::new(0),
        }))
    }

    /// The cell of a scope; `None` when the scope is not configured.
    #[must_use]
    pub fn cell(&self, scope: Scope) -> Option<Arc<Cell>> {
        let mut cells = self.cells.iter();
        cells.find(|cell| cell.scope() == scope).cloned()
    }

    /// Every cell, in the order of [`Scope::ALL`].
    #[must_use]
    pub fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    /// Keeps the token of `cell`, one of [`Self::cells`], renewed. Never ends
    /// by itself, whatever the token endpoint does; dropping it stops the
    /// renewals of that cell. To be run by exactly one task per cell on a
    /// runtime with time and network.
    pub fn renew_forever(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
    ) -> impl Future<Output = Infallible> + Send + 'static + use<> {
        renewer::run(Arc::clone(self), Arc::clone(cell))
    }

    /// Takes a new client (other trusted authorities), reads the secret anew
    /// and lets every cell in trouble try at once. Tokens in use stay in use.
    pub fn reload(&self, client: Client) {
        let endpoint = self.endpoint.load().with_client(client);
        self.endpoint.store(Arc::new(endpoint));
        // A secret that cannot be read now leaves the known one in place.
        let secret_changed = self.read_secret().is_ok_and(|secret| secret.is_new);
        if !secret_changed {
            self.begin_anew(false);
        }
    }

    /// Whether any scope has a usable token.
    #[must_use]
    pub fn has_usable_token(&self, now: &Moment) -> bool {
        self.cells.iter().any(|cell| cell.current(now).is_some())
    }

    /// The last 50 events, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        locked(&self.history).list()
    }
}

/// A secret, and whether it differs from the one before.
pub(super) struct ReadSecret {
    pub(super) value: SecretString,
    pub(super) is_new: bool,
}

/// What the renewal tasks share.
impl Engine {
    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        self.endpoint.load_full()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Reads the secret. One that differs from the one before sets all cells
    /// free; when it has become unreadable, the one before stays in use.
    pub(super) fn read_secret(&self) -> Result<ReadSecret, SecretError> {
        let mut secret = locked(&self.secret);
        secret.looked = Some(Moment::now());
        let value = match (secret.source.read(), &secret.known) {
            (Ok(value), _) => value,
            (Err(_), Some(known)) => known.clone(),
            (Err(error), None) => return Err(error),
        };
        let before = secret.known.replace(value.clone());
        drop(secret);
        let is_new = before.is_some_and(|before| before.expose_secret() != value.expose_secret());
        if is_new {
            tracing::info!("the client secret has changed and is used from now on");
            self.begin_anew(true);
        }
        Ok(ReadSecret { value, is_new })
    }

    /// Looks, at most once a second, whether a credential that does not work
    /// has been given another secret.
    pub(super) fn look_for_new_secret(&self, now: &Moment) {
        let is_due = locked(&self.secret)
            .looked
            .is_none_or(|looked| now.since(&looked) >= SECRET_INTERVAL);
        if is_due && locked(&self.credential).is_in_trouble() {
            // Still unreadable is what the cells report already.
            let _ = self.read_secret();
        }
    }

    fn begin_anew(&self, settings_changed: bool) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        {
            let mut credential = locked(&self.credential);
            if settings_changed || credential.is_in_trouble() {
                credential.changed();
            }
        }
        locked(&self.history).push(None, What::Reloaded);
        for cell in &self.cells {
            cell.wake(settings_changed);
        }
    }

    /// Asks for the turn of a cell that is due. `Ok`: go, and whether this is
    /// only a probe of a refused credential; `Err`: ask again after that time.
    pub(super) fn ask_turn(&self, cell: &Cell, now: &Moment) -> Result<bool, Duration> {
        let mut credential = locked(&self.credential);
        let wait = credential.ask(self.seat(cell), now);
        if wait.is_zero() {
            Ok(credential.is_probing())
        } else {
            Err(wait)
        }
    }

    /// A cell has a token: sets the others free if they were held back.
    pub(super) fn settle_grant(&self, cell: &Cell, now: &Moment) {
        let sets_free = locked(&self.credential).granted(self.seat(cell), now);
        if sets_free {
            self.others(cell).for_each(|other| other.wake(false));
        }
    }

    /// A cell's attempt failed: settles what that means for the others, and
    /// returns why nothing is asked for now, and for how long.
    pub(super) fn settle_failure(
        &self,
        cell: &Cell,
        failed: &Failed,
        now: &Moment,
    ) -> (Reason, Duration) {
        let effect = locked(&self.credential).failed(
            self.seat(cell),
            failed.reason,
            now,
            failed.first_cool_down,
        );
        match effect {
            Effect::OwnMatter => {}
            Effect::ScopeRefused => cell.refuse(),
            Effect::AllWait { reason, wait } => {
                for cell in &self.cells {
                    cell.block(reason, now, wait);
                }
                return (reason, wait);
            }
        }
        (failed.reason, failed.next_try)
    }

    fn seat(&self, cell: &Cell) -> usize {
        let mut cells = self.cells.iter();
        cells
            .position(|own| own.scope() == cell.scope())
            .unwrap_or_default()
    }

    fn others(&self, cell: &Cell) -> impl Iterator<Item = &Arc<Cell>> {
        let scope = cell.scope();
        self.cells.iter().filter(move |own| own.scope() != scope)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("cells", &self.cells)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is replaced as a whole or counts: a panic of
    // another holder leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
