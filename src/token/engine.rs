//! All cells of one credential, with what they share: the endpoint, the
//! secret, and what they know together. Decides nothing about time itself.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Settings;
use super::cell::{Cell, Failed};
use super::credential::{Credential, Effect};
use super::endpoint::{Client, Endpoint};
use super::error::{EngineError, Reason};
use super::moment::Moment;
use super::renewer;
use super::secrets::{Candidate, LOOK_INTERVAL, Look, Secrets, Which};
use super::view::{Event, EventKind, History};
use crate::dqe::Scope;
use crate::secret::SecretError;
use arc_swap::ArcSwap;

/// All cells of one credential.
pub struct Engine {
    cells: Vec<Arc<Cell>>,
    endpoint: ArcSwap<Endpoint>,
    secrets: Mutex<Secrets>,
    credential: Mutex<Credential>,
    history: Arc<Mutex<History>>,
    /// Counts changes of the secret and of the client: an attempt that began
    /// before one says nothing about what comes after.
    epoch: AtomicU64,
}

impl Engine {
    /// Builds the cells. The secret is read, and the first token asked for,
    /// when [`Self::renew_forever`] runs; a secret that cannot be read then is
    /// a state the cells report, and they begin when it appears.
    ///
    /// # Errors
    /// When the URL is no http or https address, or there is no scope.
    pub fn new(settings: Settings, client: Client) -> Result<Arc<Self>, EngineError> {
        let endpoint = Endpoint::new(&settings, client)?;
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
            secrets: Mutex::new(Secrets::new(
                settings.client_secret,
                settings.next_client_secret,
            )),
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

    /// Notices a secret file that changes, in whatever way, within two looks,
    /// which are half a second apart. Never ends by itself. To be run by one
    /// task on a runtime with time.
    pub async fn watch_secrets_forever(self: Arc<Self>) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let look = locked(&self.secrets).look(&Moment::now());
            tell(&look);
            if look.has_changed {
                self.secret_has_changed();
            }
        }
    }

    /// Takes a new client (other trusted authorities), reads the secrets anew
    /// and lets every cell in trouble try at once. Tokens in use stay in use.
    /// False when a secret that was known cannot be read any more, which is logged.
    pub fn reload(&self, client: Client) -> bool {
        let endpoint = self.endpoint.load().with_client(client);
        self.endpoint.store(Arc::new(endpoint));
        // A secret that cannot be read now leaves the known one in place.
        let look = locked(&self.secrets).read_now(&Moment::now());
        tell(&look);
        if look.has_changed {
            self.secret_has_changed();
        } else {
            self.begin_anew(false);
        }
        look.lost.is_empty()
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

/// What the renewal tasks share.
impl Engine {
    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        self.endpoint.load_full()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The secrets an attempt may use, the best first. While the credential is refused,
    /// an attempt is one call with one of them; they take turns.
    pub(super) fn candidates(&self) -> Result<Vec<Candidate>, SecretError> {
        let mut candidates = locked(&self.secrets).candidates()?;
        let credential = locked(&self.credential);
        if credential.is_probing() {
            let probe = credential.probes() % candidates.len();
            candidates.swap(0, probe);
            candidates.truncate(1);
        }
        Ok(candidates)
    }

    /// Whether an attempt that was refused may go on with the next secret.
    pub(super) fn may_try_others(&self) -> bool {
        locked(&self.credential).may_try_others()
    }

    /// The next secret got no clear answer.
    pub(super) fn others_are_unclear(&self) {
        locked(&self.credential).others_are_unclear();
    }

    /// Whether the next secret is tried by one call at a time.
    pub(super) fn is_in_trouble(&self) -> bool {
        locked(&self.credential).is_in_trouble()
    }

    /// A token was granted for this secret.
    pub(super) fn secret_worked(&self, which: Which) {
        let is_promoted = locked(&self.secrets).worked(which);
        if is_promoted && which == Which::Next {
            tracing::warn!(
                "the first client secret is refused and the next one works: it is used from now on"
            );
        }
    }

    fn secret_has_changed(&self) {
        tracing::info!("a client secret has been read and is used from now on");
        self.begin_anew(true);
    }

    fn begin_anew(&self, settings_changed: bool) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        {
            let mut credential = locked(&self.credential);
            if settings_changed || credential.is_in_trouble() {
                credential.changed();
            }
        }
        locked(&self.history).push(None, EventKind::Reloaded);
        for cell in &self.cells {
            cell.wake(settings_changed);
        }
    }

    /// Asks for the turn of a cell that is due. `Ok`: go, and whether by one
    /// call at a time; `Err`: ask again after that time.
    pub(super) fn ask_turn(&self, cell: &Cell, now: &Moment) -> Result<bool, Duration> {
        let mut credential = locked(&self.credential);
        let seat = self.seat(cell);
        let wait = credential.ask(seat, now);
        if wait.is_zero() {
            Ok(credential.is_quiet(seat))
        } else {
            Err(wait)
        }
    }

    /// A cell has a token: sets the others free if they were held back.
    pub(super) fn settle_grant(&self, cell: &Cell, now: &Moment) {
        let sets_free = locked(&self.credential).granted(self.seat(cell), now);
        if sets_free {
            self.others(cell).for_each(|other| {
                other.wake(false);
                other.hasten(now);
            });
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

/// Logs what a look at the secrets found out about their files.
fn tell(look: &Look) {
    for error in &look.lost {
        // The next start would be without a secret.
        tracing::warn!("{error}; the client secret that was read before stays in use");
    }
    if look.is_found {
        tracing::info!("the client secret can be read again");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is replaced as a whole or counts: a panic of
    // another holder leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
