//! `dqe-proxy sandbox`: a fake DQE to call by hand, with a line for each request it receives.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dqe_proxy::sandbox::fault_grammar::{self, KINDS};
use dqe_proxy::sandbox::{
    Entry, FaultError, Sandbox, Settings, StartError, SwitchError, Switches, parse_duration,
};
use tokio::sync::broadcast::error::RecvError;

/// Arguments of `dqe-proxy sandbox`.
#[derive(Debug, Args)]
#[command(after_help = faults_and_switches())]
pub(crate) struct SandboxArgs {
    /// Where the fake API and its token endpoint listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8600")]
    address: SocketAddr,
    /// Where the control endpoints listen; they have no authentication
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8601")]
    control_address: SocketAddr,
    /// Speak HTTPS with a throwaway certificate authority
    #[arg(long)]
    https: bool,
    /// Write the certificate authority to trust (PEM) to this file
    #[arg(long, value_name = "PATH", requires = "https")]
    ca_file: Option<PathBuf>,
    /// The licence code accepted as client_id
    #[arg(long, value_name = "CODE", default_value = "SANDBOX")]
    client_id: String,
    /// The client secret accepted; repeat it to accept several
    #[arg(long, value_name = "SECRET", default_value = "sandbox-secret")]
    client_secret: Vec<String>,
    /// How long tokens live
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = duration)]
    token_life: Duration,
    /// A fault from the start, such as token:status=503,times=3 (repeatable)
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    fault: Vec<String>,
    /// A switch, such as classic-refusal=200 (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = switch)]
    switch: Vec<String>,
    /// Seed of tokens and of the faults' probabilities
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How many requests the journal remembers, within 64 MiB
    #[arg(long, value_name = "NUMBER", default_value_t = Settings::default().journal_size)]
    journal_size: usize,
    /// Print nothing for each request
    #[arg(long)]
    quiet: bool,
}

/// Why the command ends before its time.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Switch(#[from] SwitchError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the certificate authority cannot be written to {path}")]
    CaFile { path: PathBuf, source: io::Error },
    #[error("signals cannot be listened for")]
    Signals(#[from] io::Error),
}

/// Runs until Ctrl-C or SIGTERM, which end it with success.
pub(crate) fn run(arguments: SandboxArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return super::explain(&error),
    };
    match runtime.block_on(serve(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => super::explain(&failure),
    }
}

async fn serve(arguments: SandboxArgs) -> Result<(), Failure> {
    let quiet = arguments.quiet;
    let ca_file = arguments.ca_file.clone();
    let settings = settings(arguments)?;
    let mut signals = Signals::listen()?;
    let sandbox = Sandbox::start(settings.clone()).await?;
    if let (Some(path), Some(pem)) = (&ca_file, sandbox.ca_pem()) {
        std::fs::write(path, pem).map_err(|source| Failure::CaFile {
            path: path.clone(),
            source,
        })?;
    }
    say!("{}", greeting(&sandbox, &settings, ca_file.as_deref()));
    tokio::select! {
        () = signals.first() => {}
        // Nobody watches a quiet sandbox: watching costs a copy of every entry.
        () = show(&sandbox), if !quiet => {}
    }
    sandbox.shutdown().await;
    Ok(())
}

/// Prints a line for each request, until the sandbox ends.
async fn show(sandbox: &Sandbox) {
    let mut entries = sandbox.watch();
    loop {
        match entries.recv().await {
            Ok(entry) => say!("{}", line(&entry)),
            Err(RecvError::Lagged(missed)) => say!("… {missed} requests not shown"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn settings(arguments: SandboxArgs) -> Result<Settings, Failure> {
    let mut switches = Switches {
        token_life: arguments.token_life,
        ..Switches::default()
    };
    for switch in &arguments.switch {
        switches.set_from(switch)?;
    }
    Ok(Settings {
        address: arguments.address,
        control_address: arguments.control_address,
        https: arguments.https,
        client_id: arguments.client_id,
        client_secrets: arguments.client_secret,
        switches,
        faults: arguments.fault,
        journal_size: arguments.journal_size,
        seed: arguments.seed,
        ..Settings::default()
    })
}

fn greeting(sandbox: &Sandbox, settings: &Settings, ca_file: Option<&std::path::Path>) -> String {
    let (url, control) = (sandbox.url(), sandbox.control_url());
    let secret = settings.client_secrets.first().map_or("", String::as_str);
    let id = &settings.client_id;
    let trust = ca_file
        .map(|path| format!("--cacert {} ", path.display()))
        .unwrap_or_default();
    // Typed elsewhere, a relative path would lead nowhere.
    let absolute = ca_file.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.into()));
    let trusted = match absolute {
        Some(path) => format!("DQE_PROXY_UPSTREAM_CA_FILES={} ", path.display()),
        None => String::new(),
    };
    let untrusted = if settings.https && ca_file.is_none() {
        "Nobody trusts its certificate; --ca-file PATH writes the authority to trust\n"
    } else {
        ""
    };
    format!(
        "A fake DQE answers on {url}\nIts control port is {control}\n{untrusted}\n\
        Put the proxy in front of it:\n  \
        DQE_SERVER={url} {trusted}DQE_LICENCE={id} DQE_CLIENT_SECRET={secret} dqe-proxy run\n\n\
        Take a token by hand:\n  \
        curl {trust}'{url}/oauth/access_token/?client_id={id}&client_secret={secret}&scope=client_address'\n\n\
        See and change what it does:\n  \
        curl '{control}/journal?after=0'\n  \
        curl '{control}/counters'\n  \
        curl -X PUT '{control}/switches?token-life=5s'\n  \
        curl -d 'business:slow=200ms' '{control}/faults'\n  \
        curl -X DELETE '{control}/faults'\n  \
        curl -X POST '{control}/revoke'\n"
    )
}

/// Method, path without its query, status, scope, and what was wrong.
fn line(entry: &Entry) -> String {
    let mut line = format!(
        "{} {}",
        String::from_utf8_lossy(&entry.method).escape_debug(),
        String::from_utf8_lossy(entry.path()).escape_debug()
    );
    // Writing into a string cannot fail.
    let _ = match entry.status {
        Some(status) => write!(line, " {status}"),
        None => write!(line, " ---"),
    };
    if let Some(scope) = entry.scope {
        let _ = write!(line, " {scope}");
    }
    if let Some(generation) = entry.generation() {
        let _ = write!(line, " token {generation}");
    }
    for violation in &entry.violations {
        let _ = write!(line, " !{}", violation.name());
    }
    for fault in &entry.faults {
        let _ = write!(line, " [{fault}]");
    }
    line
}

/// What can be written after `--fault` and `--switch`.
fn faults_and_switches() -> String {
    let mut help = "Faults are written [target:]kind[=value][,option=value…]\n  \
        targets: token, business, any, path=/TEL/, scope=client_b2b, joined by &\n  \
        options: times=N, after=N, probability=0.1, retry-after=SECONDS\n  \
        example: token:any-of=status=500|reset|hang|html-200|empty-200,probability=0.3\n  kinds:\n"
        .to_owned();
    for (kind, does) in KINDS {
        // Writing into a string cannot fail.
        let _ = writeln!(help, "    {kind:<39} {does}");
    }
    help.push_str("Switches, as they are when nobody touches them:\n");
    help.push_str(&Switches::default().explained());
    help
}

/// A fault as it is typed: one that is none is wrong usage.
pub(super) fn fault(text: &str) -> Result<String, FaultError> {
    fault_grammar::check(text).map(|()| text.to_owned())
}

fn switch(text: &str) -> Result<String, SwitchError> {
    let mut tried = Switches::default();
    tried.set_from(text).map(|()| text.to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration is written 250ms, 1.5s or 2m".to_owned())
}

/// The two signals that end the command.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on, so that a signal during the start is not lost.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn first(&mut self) {
        // Without signals to listen for, the command runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
