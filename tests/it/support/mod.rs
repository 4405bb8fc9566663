//! Starts a fake DQE and a proxy in front of it, on free loopback ports, each
//! on threads of its own, and talks to them over real sockets.

pub(crate) mod http2;
mod logs;
mod process;
mod program;
mod recorder;
mod scripted;
mod server;
mod stopwatch;
mod token_endpoint;
mod token_server;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use dqe_proxy::app::{App, Handle, Logs, RunError};
use dqe_proxy::config::{self, Inputs};
use dqe_proxy::sandbox::{Counters, Entry, Sandbox, Scope, Settings, Switches};
use dqe_proxy::telemetry::{AccessLog, Format};

pub(crate) use process::Process;
pub(crate) use program::Program;
pub(crate) use recorder::{After, Reaction, Recorded, Recorder, TOKEN, When, grant};
pub(crate) use scripted::Scripted;
pub(crate) use server::{read_body, read_chunks, read_head, read_length, serve_each};
pub(crate) use stopwatch::Stopwatch;
pub(crate) use token_endpoint::TokenEndpoint;
pub(crate) use token_server::{TokenServer, answer, granted};
pub(crate) use wire::{Answer, Connection, call, get};

/// Longest wait for anything a story expects to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What a story changes about the two programs.
#[derive(Default)]
pub(crate) struct Setup {
    sandbox: Settings,
    variables: Vec<(String, String)>,
    file: Option<String>,
    secret: Option<String>,
}

impl Setup {
    /// Tokens live this long.
    #[must_use]
    pub(crate) fn token_life(mut self, life: Duration) -> Self {
        self.sandbox.switches = Switches {
            token_life: life,
            ..self.sandbox.switches
        };
        self
    }

    /// The fake DQE misbehaves from the start.
    #[must_use]
    pub(crate) fn fault(mut self, fault: &str) -> Self {
        self.sandbox.faults.push(fault.to_owned());
        self
    }

    /// A switch of the fake DQE, `name=value`.
    #[must_use]
    pub(crate) fn switch(mut self, switch: &str) -> Self {
        self.sandbox.switches.set_from(switch).unwrap();
        self
    }

    /// The fake DQE speaks HTTPS; the proxy is told to trust it.
    #[must_use]
    pub(crate) fn https(mut self) -> Self {
        self.sandbox.https = true;
        self
    }

    /// A setting, by its environment variable without `DQE_PROXY_`.
    #[must_use]
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables
            .push((format!("DQE_PROXY_{name}"), value.to_owned()));
        self
    }

    /// Another client secret than the fake DQE's.
    #[must_use]
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// Another server in place of the fake DQE.
    #[must_use]
    pub(crate) fn server(mut self, url: &str) -> Self {
        self.variables
            .push(("DQE_SERVER".to_owned(), url.to_owned()));
        self
    }

    /// A settings file besides.
    #[must_use]
    pub(crate) fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Starts the fake DQE alone.
    #[must_use]
    pub(crate) fn start_dqe(self) -> Dqe {
        Dqe::start(self.sandbox)
    }

    /// Starts both.
    #[must_use]
    pub(crate) fn start(self) -> Running {
        let dqe = Dqe::start(self.sandbox);
        Self::start_proxy(dqe, self.variables, self.file, self.secret)
    }

    /// Starts both, the fake DQE with its port closed.
    #[must_use]
    pub(crate) fn start_with_dqe_down(self) -> Running {
        let dqe = Dqe::start(self.sandbox);
        dqe.pause();
        Self::start_proxy(dqe, self.variables, self.file, self.secret)
    }

    fn start_proxy(
        dqe: Dqe,
        variables: Vec<(String, String)>,
        file: Option<String>,
        secret: Option<String>,
    ) -> Running {
        logs::listen();
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("secret");
        let secret = secret.unwrap_or_else(|| "sandbox-secret\n".to_owned());
        std::fs::write(&secret_file, secret).unwrap();
        let mut environment = vec![
            ("DQE_SERVER".to_owned(), dqe.sandbox.url()),
            ("DQE_LICENCE".to_owned(), "SANDBOX".to_owned()),
            (
                "DQE_PROXY_DQE_CLIENT_SECRET_FILE".to_owned(),
                secret_file.display().to_string(),
            ),
            (
                "DQE_PROXY_LISTENER_ADDRESS".to_owned(),
                "127.0.0.1:0".to_owned(),
            ),
            ("DQE_PROXY_LISTENER_THREADS".to_owned(), "2".to_owned()),
            (
                "DQE_PROXY_ADMIN_ADDRESS".to_owned(),
                "127.0.0.1:0".to_owned(),
            ),
            ("DQE_PROXY_DRAIN_DELAY".to_owned(), "0s".to_owned()),
        ];
        if let Some(pem) = dqe.sandbox.ca_pem() {
            let ca_file = folder.path().join("ca.pem");
            std::fs::write(&ca_file, pem).unwrap();
            environment.push((
                "DQE_PROXY_UPSTREAM_CA_FILES".to_owned(),
                ca_file.display().to_string(),
            ));
        }
        environment.retain(|(name, _)| !variables.iter().any(|(given, _)| given == name));
        environment.extend(variables);
        let mut inputs = Inputs {
            environment,
            ..Inputs::default()
        };
        if let Some(text) = file {
            let path = folder.path().join("config.toml");
            std::fs::write(&path, text).unwrap();
            inputs.file = Some(path);
        }
        let config = config::load(&inputs).unwrap_or_else(|problems| panic!("{problems}"));
        let lines = Lines::default();
        let access_log = AccessLog::start(Format::Json, Box::new(lines.clone())).unwrap();
        let app = App::build(
            config,
            Logs {
                access: Some(Arc::new(access_log)),
                events: None,
            },
        )
        .unwrap();
        let (address, admin, handle) = (app.address(), app.admin_address(), app.handle());
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(app.run());
        });
        Running {
            address,
            admin: admin.unwrap(),
            handle,
            dqe,
            ended,
            lines,
            secret_file,
            folder,
        }
    }
}

/// A fake DQE on a thread of its own.
pub(crate) struct Dqe {
    pub(crate) sandbox: Sandbox,
    runtime: tokio::runtime::Handle,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Dqe {
    fn start(settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(Sandbox::start(settings)).unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || {
            let _ = runtime.block_on(ended);
        });
        Self {
            sandbox,
            runtime: handle,
            _end: end,
        }
    }

    /// Connections are refused from now on.
    pub(crate) fn pause(&self) {
        self.wait_for(|sandbox| async move { sandbox.pause_listening().await });
    }

    /// Connections are accepted again on the same port.
    pub(crate) fn resume(&self) {
        self.wait_for(|sandbox| async move { sandbox.resume_listening().await.unwrap() });
    }

    fn wait_for<F: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(Sandbox) -> F) {
        let (done, waiting) = mpsc::channel();
        let work = work(self.sandbox.clone());
        self.runtime.spawn(async move {
            work.await;
            let _ = done.send(());
        });
        waiting.recv_timeout(PATIENCE).unwrap();
    }
}

/// Both programs at work. Dropping it drains the proxy and ends both.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) dqe: Dqe,
    pub(crate) secret_file: std::path::PathBuf,
    ended: mpsc::Receiver<Result<(), RunError>>,
    lines: Lines,
    folder: tempfile::TempDir,
}

impl Running {
    /// The plain case: everything at its default.
    #[must_use]
    pub(crate) fn start() -> Self {
        Setup::default().start()
    }

    /// One GET through the proxy.
    #[must_use]
    pub(crate) fn get(&self, target: &str) -> Answer {
        get(self.address, target)
    }

    /// One GET at the admin listener.
    #[must_use]
    pub(crate) fn admin_get(&self, target: &str) -> Answer {
        get(self.admin, target)
    }

    /// Business requests DQE has received.
    #[must_use]
    pub(crate) fn received(&self) -> Vec<Entry> {
        self.dqe.sandbox.business_journal()
    }

    /// The last business request DQE has received.
    #[must_use]
    pub(crate) fn last_received(&self) -> Entry {
        self.received().pop().expect("DQE received nothing")
    }

    #[must_use]
    pub(crate) fn counters(&self) -> Counters {
        self.dqe.sandbox.counters()
    }

    /// A metric's value by the beginning of its line, labels included.
    #[must_use]
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let text = self.admin_get("/metrics").text();
        let found = text
            .lines()
            .find_map(|candidate| candidate.strip_prefix(line));
        found.and_then(|value| value.trim().parse().ok())
    }

    /// The number of the scope's token: 2 after one renewal.
    #[must_use]
    pub(crate) fn token_generation(&self, scope: Scope) -> Option<f64> {
        self.metric(&format!("dqe_proxy_token_generation{{scope=\"{scope}\"}}"))
    }

    /// Waits until every scope has a token.
    pub(crate) fn wait_until_ready(&self) {
        eventually("every scope has a token", || {
            let text = self.admin_get("/metrics").text();
            let fresh = |line: &&str| {
                line.starts_with("dqe_proxy_token_state{")
                    && line.contains("state=\"fresh\"")
                    && line.ends_with(" 1")
            };
            text.lines().filter(fresh).count() == 7
        });
    }

    /// The access log's lines so far that are about `route`.
    #[must_use]
    pub(crate) fn log_lines(&self, route: &str) -> Vec<serde_json::Value> {
        let bytes = self.lines.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["route"] == route).collect()
    }

    /// Tells the proxy to drain and waits for its end.
    pub(crate) fn end(&self) -> Result<(), RunError> {
        self.handle.drain();
        self.ends_within(Duration::from_secs(30))
            .expect("the proxy does not end")
    }

    /// Whether the proxy ends within `limit`.
    pub(crate) fn ends_within(&self, limit: Duration) -> Option<Result<(), RunError>> {
        let mut ended = None;
        holds_within(limit, || {
            ended = self.ended.try_recv().ok();
            ended.is_some()
        });
        ended
    }

    #[must_use]
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A second word makes it end at once.
        self.handle.drain();
        self.handle.drain();
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// The target DQE received, with `{token}` for the token of the one
/// `Authorization` field, which has to be a bearer.
#[track_caller]
pub(crate) fn target_received(entry: &Entry) -> String {
    with_token_named(entry, &entry.target)
}

/// The beginning of the body DQE received, likewise.
#[track_caller]
pub(crate) fn body_received(entry: &Entry) -> String {
    with_token_named(entry, &entry.body)
}

#[track_caller]
fn with_token_named(entry: &Entry, text: &[u8]) -> String {
    let [bearer] = entry.header_values("authorization")[..] else {
        panic!("not exactly one Authorization");
    };
    let token = bearer.strip_prefix(b"Bearer ").expect("no bearer");
    let token = std::str::from_utf8(token).unwrap();
    String::from_utf8_lossy(text).replace(token, "{token}")
}

/// Waits until `condition` holds, looking often.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "never true: {what}");
}

/// Whether `condition` comes to hold within `limit`, by [`Stopwatch`], looking often.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    // Mostly it holds at one of the first looks, which needs no watch.
    let begun = Instant::now();
    while begun.elapsed() < limit.min(Duration::from_millis(100)) {
        if condition() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let (before, watch) = (begun.elapsed(), Stopwatch::start());
    while before + watch.elapsed() < limit {
        if condition() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    condition()
}

/// A log sink that can be read.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        logs::keep(bytes);
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
