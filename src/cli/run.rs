//! `dqe-proxy run`: the proxy, until a signal ends it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use dqe_proxy::app::{App, Handle, Logs};
use dqe_proxy::config::{self, Config};
use dqe_proxy::telemetry::{self, AccessLog};

use super::settings::SettingsArgs;
use super::{FAILURE, explain};

/// Arguments of `dqe-proxy run`.
#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs until drained. Exit code 0 after a complete drain, 1 for trouble at
/// run time, 78 for bad settings.
pub(crate) fn run(arguments: &RunArgs) -> ExitCode {
    // From the first moment on, SIGHUP must not end the process.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            complain!("dqe-proxy: signals cannot be listened for: {error}");
            return ExitCode::from(FAILURE);
        }
    };
    let config = match config::load(&arguments.settings.inputs()) {
        Ok(config) => config,
        Err(problems) => return super::bad_settings(&problems),
    };
    let events = match telemetry::init(&config.log) {
        Ok(events) => Arc::new(events),
        Err(error) => return explain(&error),
    };
    for warning in &config.warnings {
        // A line of the log is one line, and the hint a field of its own.
        let (mut warning, hint) = (warning.clone(), warning.hint.as_deref());
        warning.hint = None;
        tracing::warn!(hint, "{warning}");
    }
    let access = match access_log(&config) {
        Ok(access) => access,
        Err(error) => return explain(&error),
    };
    let app = match App::build(
        config,
        Logs {
            access,
            events: Some(Arc::clone(&events)),
        },
    ) {
        Ok(app) => app,
        Err(error) => return explain(&error),
    };
    let admin = app.admin_address().map(|address| address.to_string());
    tracing::info!(
        listener = %app.address(),
        admin = admin.unwrap_or_else(|| "off".to_owned()),
        version = env!("CARGO_PKG_VERSION"),
        "dqe-proxy listens"
    );
    signals.obey(app.handle());
    let ended = app.run();
    // The last words are written before the exit code is given.
    drop(events);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => explain(&error),
    }
}

fn access_log(config: &Config) -> std::io::Result<Option<Arc<AccessLog>>> {
    if !config.log.access {
        return Ok(None);
    }
    AccessLog::start(config.log.format, Box::new(std::io::stdout())).map(|log| Some(Arc::new(log)))
}

/// Signals so close to the first are the same request to stop: timeout(1) and
/// some supervisors signal the process and then its whole group.
const ONE_REQUEST: Duration = Duration::from_millis(200);

/// The signals an operator sends.
pub(crate) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP away from their default, which is to
    /// end the process. What arrives before [`Self::obey`] is kept for it.
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let guard = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(guard);
        Ok(Self {
            runtime,
            terminate,
            interrupt,
            hang_up,
        })
    }

    /// From now on SIGTERM and SIGINT drain, a second request stops, SIGHUP reloads.
    /// The thread that waits for them ends with the process.
    pub(crate) fn obey(self, handle: Handle) {
        let Self {
            runtime,
            mut terminate,
            mut interrupt,
            mut hang_up,
        } = self;
        let waiting = move || {
            runtime.block_on(async {
                let mut first: Option<Instant> = None;
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                        _ = hang_up.recv() => {
                            handle.reload();
                            continue;
                        }
                    }
                    if first.is_none_or(|first| first.elapsed() >= ONE_REQUEST) {
                        handle.drain();
                    }
                    first.get_or_insert_with(Instant::now);
                }
            });
        };
        if let Err(error) = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(waiting)
        {
            tracing::error!(%error, "no thread for signals: only SIGKILL will end this process");
        }
    }

    /// Waits for the first SIGTERM or SIGINT.
    pub(crate) fn wait(self) {
        let Self {
            runtime,
            mut terminate,
            mut interrupt,
            hang_up,
        } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        drop(hang_up);
    }
}
