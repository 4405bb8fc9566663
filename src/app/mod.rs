//! The composition root: settings → parts → a running proxy, and back to nothing.
//!
//! [`App::build`] wires and binds and can fail; [`App::run`] starts threads and
//! tasks and returns when the proxy has ended. Threads: one control thread
//! (the one that calls `run`: token renewal, admin, commands) and the worker
//! threads, each with a runtime, connections and an upstream pool of its own.

mod memory;
mod view;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use crate::admin;
use crate::config::Config;
use crate::dqe::Scope;
use crate::egress::{Egress, EgressError};
use crate::metrics::Metrics;
use crate::proxy::{self, Admission, Code};
use crate::server;
use crate::telemetry::{AccessLog, EventLog};
use crate::token::{self, Engine};
use crate::upstream::SharedTls;
use view::View;
use worker::Seed;

/// Longest wait for the access log's last lines at the end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A listening address cannot be bound.
    #[error("cannot listen on {address} ({key})")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The setting it comes from.
        key: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Trust or TLS cannot be prepared.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The token engine cannot be prepared.
    #[error("cannot prepare the token engine")]
    Token(#[from] token::EngineError),
    /// The system's random numbers are not available.
    #[error("cannot get random numbers from the system")]
    Random,
}

/// Why a running proxy ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A runtime or thread cannot be started.
    #[error("cannot start a thread")]
    Start(#[source] io::Error),
    /// A worker thread ended by itself.
    #[error("a worker thread ended unexpectedly")]
    WorkerEnded,
    /// A worker thread's listener cannot be used.
    #[error("a worker thread cannot use the listener")]
    Worker(#[source] io::Error),
    /// A second signal came during the drain.
    #[error("told a second time: stopped without waiting for what still ran")]
    CutShort,
}

/// What a running proxy can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// Finish what runs, then end.
    Drain,
    /// Read secrets and CA files again.
    Reload,
}

/// Tells a running proxy what to do, from any thread. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
}

impl Handle {
    /// Turns the proxy unready, lets it finish what runs and end. A second
    /// call ends it at once.
    pub fn drain(&self) {
        // Nobody listens any more: it has ended already, which is what was asked for.
        let _ = self.commands.send(Command::Drain);
    }

    /// Reads the secret and the CA files again. What fails is logged and the old stays in use.
    pub fn reload(&self) {
        let _ = self.commands.send(Command::Reload);
    }
}

/// The logs a running proxy writes to; none in a demonstration.
#[derive(Clone, Default)]
pub struct Logs {
    /// One line per request.
    pub access: Option<Arc<AccessLog>>,
    /// What the program says about itself; only its losses are looked at.
    pub events: Option<Arc<EventLog>>,
}

/// A proxy that is wired and bound, but not running.
pub struct App {
    config: Config,
    /// Given to the worker threads: the last of them closes it.
    listener: Option<std::net::TcpListener>,
    address: SocketAddr,
    admin: Option<std::net::TcpListener>,
    tls: SharedTls,
    /// One for each credential and token endpoint.
    engines: Vec<Arc<Engine>>,
    metrics: Arc<Metrics>,
    logs: Logs,
    id_prefix: u64,
    handle: Handle,
    commands: mpsc::UnboundedReceiver<Command>,
}

impl App {
    /// Wires the parts and binds the sockets. Does not wait for DQE.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(config: Config, logs: Logs) -> Result<Self, BuildError> {
        let egress = Egress::build(&config.egress, needs_tls(&config))?;
        let client = egress.token_client(config.token.connect_timeout)?;
        let settings = [Some(&config.token), config.id_mobile.as_ref()];
        let settings = settings.into_iter().flatten();
        let engines = settings.map(|settings| Engine::new(settings.clone(), client.clone()));
        let engines = engines.collect::<Result<Vec<_>, _>>()?;
        let threads = config.listener.threads.get();
        let metrics = Arc::new(Metrics::new(
            proxy::route_names(&config.proxy),
            Code::NAMES,
            Scope::ALL.map(Scope::as_str).to_vec(),
            threads,
        ));
        let bind = |address, key| {
            server::bind(address).map_err(|source| BuildError::Bind {
                address,
                key,
                source,
            })
        };
        let listener = bind(config.listener.address, "listener.address")?;
        let admin = config
            .admin
            .address
            .map(|address| bind(address, "admin.address"))
            .transpose()?;
        let address = listener.local_addr().unwrap_or(config.listener.address);
        let id_prefix = getrandom::u64().map_err(|_| BuildError::Random)?;
        let (sender, commands) = mpsc::unbounded_channel();
        Ok(Self {
            config,
            listener: Some(listener),
            address,
            admin,
            tls: Arc::new(ArcSwap::new(egress.tls())),
            engines,
            metrics,
            logs,
            id_prefix,
            handle: Handle { commands: sender },
            commands,
        })
    }

    /// Where callers connect; with the port the system chose when the settings say 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators connect, if anywhere.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// To drain or reload the proxy while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The token engines, to look at.
    #[must_use]
    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Runs until drained. Blocks the calling thread, which becomes the control thread.
    ///
    /// # Errors
    /// See [`RunError`]; a drain is no error, whether or not its time sufficed.
    pub fn run(self) -> Result<(), RunError> {
        let control = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RunError::Start)?;
        let result = control.block_on(self.control());
        // A blocking name look-up must not hold up the end.
        control.shutdown_background();
        result
    }

    async fn control(mut self) -> Result<(), RunError> {
        for engine in &self.engines {
            for cell in engine.cells() {
                tokio::spawn(keep_renewing(Arc::clone(engine), Arc::clone(cell)));
            }
            tokio::spawn(Arc::clone(engine).watch_secrets_forever());
        }
        let memory = memory::limit(self.config.listener.max_memory);
        let view = Arc::new(View {
            engines: self.engines.clone(),
            metrics: Arc::clone(&self.metrics),
            draining: AtomicBool::new(false),
            logs: self.logs.clone(),
            admission: Admission::new(
                self.config.listener.max_requests,
                self.config.listener.threads.get(),
            ),
            started: SystemTime::now(),
        });
        if let Some(limit) = memory {
            let mut watch = memory::Watch::new(limit);
            watch.look(&view.admission);
            tokio::spawn(watch.look_forever(Arc::clone(&view.admission)));
        }
        self.start_admin(&view)?;
        let (drain, draining) = watch::channel(false);
        let (stop, stopping) = watch::channel(false);
        // Without a limit nothing is counted on the request path.
        let is_limited = self.config.listener.max_requests > 0 || memory.is_some();
        let admission = is_limited.then(|| Arc::clone(&view.admission));
        let threads = self.config.listener.threads.get();
        let most_held = memory.map_or(usize::MAX, |limit| memory::held_within(limit, threads));
        let mut workers =
            self.start_workers(admission.as_ref(), most_held, &draining, &stopping)?;
        let result = loop {
            tokio::select! {
                ended = workers.recv() => break Err(unexpected(ended)),
                command = self.commands.recv() => match command {
                    Some(Command::Reload) => self.reload(),
                    Some(Command::Drain) | None => break Ok(()),
                },
            }
        };
        let result = match result {
            Ok(()) => self.drain(&view, &drain, &mut workers).await,
            Err(error) => Err(error),
        };
        stop.send_replace(true);
        // Worker threads end at once now; what they still log must reach the writer.
        let last = async { while workers.recv().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_LINES, last).await;
        if let Some(log) = &self.logs.access
            && !log.finish(LAST_LINES)
        {
            tracing::warn!(
                dropped = log.dropped(),
                "the access log could not be written to its end"
            );
        }
        result
    }

    /// Unready → pause → no new connections → what runs may finish → end.
    async fn drain(
        &mut self,
        view: &View,
        drain: &watch::Sender<bool>,
        workers: &mut mpsc::Receiver<io::Result<()>>,
    ) -> Result<(), RunError> {
        let settings = self.config.listener.drain;
        view.draining.store(true, Ordering::Relaxed);
        // Without an admin listener nobody can notice that the proxy is unready.
        let delay = if self.admin.is_some() {
            settings.delay
        } else {
            Duration::ZERO
        };
        tracing::info!(
            delay_ms = whole_millis(delay),
            timeout_ms = whole_millis(settings.timeout),
            "draining"
        );
        let commands = &mut self.commands;
        let second_signal = async {
            while let Some(command) = commands.recv().await {
                if command == Command::Drain {
                    return;
                }
            }
            std::future::pending().await
        };
        let finish = async {
            tokio::time::sleep(delay).await;
            drain.send_replace(true);
            let all = async { while workers.recv().await.is_some() {} };
            tokio::time::timeout(settings.timeout, all).await.is_ok()
        };
        tokio::select! {
            () = second_signal => Err(RunError::CutShort),
            finished = finish => {
                if finished {
                    tracing::info!("every request has ended");
                } else {
                    tracing::warn!("the drain's time is over: what still runs is cut");
                }
                Ok(())
            }
        }
    }

    fn start_admin(&self, view: &Arc<View>) -> Result<(), RunError> {
        let Some(listener) = &self.admin else {
            return Ok(());
        };
        let listener = listener
            .try_clone()
            .and_then(tokio::net::TcpListener::from_std)
            .map_err(RunError::Start)?;
        let source: Arc<dyn admin::Source> = Arc::<View>::clone(view);
        // It ends with the control thread: an operator can watch the whole drain.
        tokio::spawn(admin::serve(listener, source, std::future::pending()));
        Ok(())
    }

    /// Each worker reports on the returned channel when it ends; the channel
    /// ends with the last one.
    fn start_workers(
        &mut self,
        admission: Option<&Arc<Admission>>,
        most_held: usize,
        draining: &watch::Receiver<bool>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<mpsc::Receiver<io::Result<()>>, RunError> {
        let threads = self.config.listener.threads.get();
        let (report, reports) = mpsc::channel(threads);
        // Dropped at the end of this function: only the workers keep it open.
        let listener = self
            .listener
            .take()
            .ok_or_else(|| RunError::Start(io::ErrorKind::NotConnected.into()))?;
        let places = server::Places::new(self.config.listener.max_connections);
        let crowd = server::Crowd::new(self.config.listener.max_connections_per_caller);
        let at_server = self.config.upstream.limit(threads);
        for index in 0..threads {
            let seed = Seed {
                config: self.config.clone(),
                listener: listener.try_clone().map_err(RunError::Start)?,
                tls: Arc::clone(&self.tls),
                engines: self.engines.clone(),
                places: Arc::clone(&places),
                crowd: crowd.clone(),
                admission: admission.cloned(),
                at_server: at_server.clone(),
                most_held,
                metrics: Arc::clone(&self.metrics),
                log: self.logs.access.as_deref().map(AccessLog::for_worker),
                // Workers must not give the same id: each gets a prefix of its own.
                id_prefix: self.id_prefix.wrapping_add(index as u64),
                index,
                draining: draining.clone(),
                stopping: stopping.clone(),
            };
            let report = report.clone();
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    // A panic that ends the thread must end the proxy, not leave it half there.
                    let working = AssertUnwindSafe(|| seed.work());
                    let panicked = |_| Err(io::Error::other("the thread panicked"));
                    let ended = catch_unwind(working).unwrap_or_else(panicked);
                    // The control thread has gone: nobody is left to tell.
                    let _ = report.blocking_send(ended);
                })
                .map_err(RunError::Start)?;
        }
        Ok(reports)
    }

    /// Builds everything new before anything is swapped.
    fn reload(&self) {
        let built =
            Egress::build(&self.config.egress, needs_tls(&self.config)).and_then(|egress| {
                let client = egress.token_client(self.config.token.connect_timeout)?;
                Ok((egress.tls(), client))
            });
        match built {
            Ok((tls, client)) => {
                self.tls.store(tls);
                let mut are_read = true;
                for engine in &self.engines {
                    are_read &= engine.reload(client.clone());
                }
                if are_read {
                    tracing::info!("secret and CA files read again");
                }
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(
                    cause,
                    "reload failed, the old settings stay in use: {error}"
                );
            }
        }
    }
}

/// A number for the log: what is wider than 64 bits becomes text there.
fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn needs_tls(config: &Config) -> bool {
    config.upstream.server.tls_name().is_some() || config.token.url.starts_with("https:")
}

fn unexpected(ended: Option<io::Result<()>>) -> RunError {
    match ended {
        Some(Err(error)) => RunError::Worker(error),
        Some(Ok(())) | None => RunError::WorkerEnded,
    }
}

/// A renewal that panics is started again, and counted.
async fn keep_renewing(engine: Arc<Engine>, cell: Arc<token::Cell>) {
    loop {
        let renewing = tokio::spawn(engine.renew_forever(&cell));
        if renewing.await.is_err() {
            tracing::error!(
                scope = cell.scope().as_str(),
                "token renewal panicked and is started again"
            );
            cell.note_restart();
        }
        // A panic that comes back at once must not take the processor.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
