//! `dqe-proxy demo`: the proxy in front of the built-in fake DQE, in one
//! process on free loopback ports, and a handful of real calls through it.
//!
//! Nothing it prints is canned: requests and answers are what went over the
//! sockets, "DQE received" is read from the fake's journal, and each call is
//! judged by both.

mod call;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Args;
use dqe_proxy::app::{App, Handle, Logs};
use dqe_proxy::config;
use dqe_proxy::sandbox::{Entry, Sandbox, Settings, Switches};

use super::run::Signals;
use super::{FAILURE, explain};
use call::{CALLS, Call, exchange, request_bytes};

/// Life of the demonstration's tokens: a renewal, at half of it, is soon to be seen.
const TOKEN_LIFE: Duration = Duration::from_secs(4);
/// Longest wait for any one thing the demonstration shows.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest part of an answer that is printed, in characters.
const SHOWN: usize = 150;

const LICENCE: &str = "DEMO-LICENCE";

/// Arguments of `dqe-proxy demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the calls; exit code 0 only when all were right
    #[arg(long)]
    once: bool,
    /// Let the fake DQE misbehave, for example business:wrong-answer (repeatable)
    #[arg(long, value_name = "FAULT", value_parser = super::sandbox::fault)]
    fault: Vec<String>,
}

/// Exit code 0 when every call was right, 1 otherwise.
pub(crate) fn run(arguments: &DemoArgs) -> ExitCode {
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return explain(&error),
    };
    let demo = match Demo::start(&arguments.fault) {
        Ok(demo) => demo,
        Err(error) => return explain(error.as_ref()),
    };
    let wrong = demo.show();
    if !arguments.once {
        demo.invite();
        signals.wait();
        say!("\nDraining …");
    }
    let ended_well = demo.end();
    if wrong.is_empty() && ended_well {
        ExitCode::SUCCESS
    } else {
        for problem in &wrong {
            complain!("wrong: {problem}");
        }
        ExitCode::from(FAILURE)
    }
}

/// A proxy and a fake DQE that are running.
struct Demo {
    sandbox: Sandbox,
    /// Ends the sandbox's thread when dropped.
    _sandbox_thread: tokio::sync::oneshot::Sender<()>,
    proxy: SocketAddr,
    admin: Option<SocketAddr>,
    handle: Handle,
    ended: mpsc::Receiver<bool>,
}

type Trouble = Box<dyn std::error::Error>;

impl Demo {
    fn start(faults: &[String]) -> Result<Self, Trouble> {
        let (sandbox, sandbox_thread) = start_sandbox(faults.to_vec())?;
        let variables = [
            ("DQE_SERVER", sandbox.url()),
            ("DQE_LICENCE", LICENCE.to_owned()),
            (
                "DQE_CLIENT_SECRET",
                Settings::default().client_secrets.concat(),
            ),
            ("DQE_PROXY_LISTENER_ADDRESS", "127.0.0.1:0".to_owned()),
            ("DQE_PROXY_ADMIN_ADDRESS", "127.0.0.1:0".to_owned()),
            ("DQE_PROXY_DRAIN_DELAY", "0s".to_owned()),
        ];
        let environment = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let config = config::load(&config::Inputs {
            environment,
            ..config::Inputs::default()
        })?;
        let app = App::build(config, Logs::default())?;
        let (proxy, admin, handle) = (app.address(), app.admin_address(), app.handle());
        let (sender, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || {
                // The demonstration has given up waiting when nobody receives this.
                let _ = sender.send(app.run().is_ok());
            })?;
        Ok(Self {
            sandbox,
            _sandbox_thread: sandbox_thread,
            proxy,
            admin,
            handle,
            ended,
        })
    }

    /// Makes the calls and shows a renewal; returns what was wrong.
    fn show(&self) -> Vec<String> {
        say!(
            "A fake DQE      {}   knows the licence {LICENCE} and its secret",
            self.sandbox.url()
        );
        say!(
            "The proxy       http://{}   knows them too; callers need neither\n",
            self.proxy
        );
        let mut wrong = Vec::new();
        for (number, call) in CALLS.iter().enumerate() {
            say!("── {}. {}: {}", number + 1, call.family, call.story);
            match self.make(call) {
                Ok(problems) if problems.is_empty() => say!("   right\n"),
                Ok(problems) => {
                    for problem in problems {
                        say!("   WRONG: {problem}");
                        wrong.push(format!("call {}: {problem}", number + 1));
                    }
                    say!();
                }
                Err(error) => {
                    say!("   WRONG: {error}\n");
                    wrong.push(format!("call {}: {error}", number + 1));
                }
            }
        }
        say!(
            "── A token lives {} s here and is renewed at half of that, while calls go on",
            TOKEN_LIFE.as_secs()
        );
        if let Err(problem) = self.show_renewal() {
            say!("   WRONG: {problem}");
            wrong.push(problem);
        }
        let violations = self.sandbox.counters().violations();
        say!(
            "\nThe fake DQE counted {violations} violations (no, dead, doubled or wrong credentials, leaked headers)."
        );
        if violations != 0 {
            wrong.push(format!("{violations} violations"));
        }
        wrong
    }

    fn make(&self, call: &Call) -> Result<Vec<String>, String> {
        let before = self
            .sandbox
            .journal()
            .last()
            .map_or(0, |entry| entry.sequence);
        let request = request_bytes(call, self.proxy);
        for line in String::from_utf8_lossy(&request)
            .lines()
            .take_while(|line| !line.is_empty())
        {
            say!("   caller  → {line}");
        }
        if let Some((_, body)) = call.body {
            say!("   caller  → {body}");
        }
        let answer =
            exchange(self.proxy, &request).map_err(|error| format!("no answer: {error}"))?;
        let mut wrong = Vec::new();
        match self.received(before) {
            None => wrong.push("DQE received nothing".to_owned()),
            Some(entry) => {
                say!(
                    "   DQE got → {} {}",
                    String::from_utf8_lossy(&entry.method),
                    String::from_utf8_lossy(&entry.target)
                        .replace(&token_of(&entry), &beginning(&token_of(&entry)))
                );
                for (name, value) in &entry.headers {
                    say!(
                        "   DQE got → {}: {}",
                        String::from_utf8_lossy(name),
                        shown_value(name, value)
                    );
                }
                judge_received(call, &entry, &mut wrong);
            }
        }
        say!("   answer  ← {} {}", answer.status, shortened(&answer.body));
        if answer.status != 200 {
            wrong.push(format!("the status is {}", answer.status));
        }
        if !answer.body.contains(call.expected) {
            wrong.push(format!("the answer does not say {:?}", call.expected));
        }
        Ok(wrong)
    }

    /// The business request DQE received after sequence number `before`.
    fn received(&self, before: u64) -> Option<Entry> {
        let received = self.sandbox.journal_after(before).into_iter().rev();
        received.into_iter().find(|entry| !entry.token_endpoint)
    }

    /// Calls on until DQE sees a newer token than at first.
    fn show_renewal(&self) -> Result<(), String> {
        let call = &CALLS[0];
        let begun = Instant::now();
        let mut first: Option<String> = None;
        let mut calls = 0;
        while begun.elapsed() < PATIENCE {
            let before = self
                .sandbox
                .journal()
                .last()
                .map_or(0, |entry| entry.sequence);
            let answer = exchange(self.proxy, &request_bytes(call, self.proxy))
                .map_err(|error| format!("no answer: {error}"))?;
            calls += 1;
            if answer.status != 200 {
                return Err(format!(
                    "a call during the renewal was answered {}",
                    answer.status
                ));
            }
            let entry = self.received(before).ok_or("DQE received nothing")?;
            let token = entry
                .header_values("authorization")
                .first()
                .map(|value| shown_value(b"authorization", value))
                .ok_or("DQE received no credential")?;
            match &first {
                None => first = Some(token),
                Some(old) if *old != token => {
                    say!("   {old}  →  {token}");
                    say!(
                        "   seen after {:.1} s and {calls} calls, every one answered 200",
                        begun.elapsed().as_secs_f64()
                    );
                    return Ok(());
                }
                Some(_) => {}
            }
            pause(Duration::from_millis(50));
        }
        Err(format!("no renewal within {} s", PATIENCE.as_secs()))
    }

    fn invite(&self) {
        let proxy = self.proxy;
        say!("\nIt stays up. Try, from another terminal:");
        for call in [&CALLS[0], &CALLS[2], &CALLS[3]] {
            say!("   curl 'http://{proxy}{}'", call.target);
        }
        say!("   curl -i 'http://{proxy}/oauth/access_token/'          (never reachable)");
        if let Some(admin) = self.admin {
            say!("   curl 'http://{admin}/readyz?verbose'");
            say!("   curl 'http://{admin}/metrics'");
        }
        let control = self.sandbox.control_url();
        say!("   curl '{control}/journal?after=0'             (what DQE received)");
        say!("   curl -d 'token:status=503' '{control}/faults'  (break the token endpoint)");
        say!("   curl -X POST '{control}/revoke'               (kill every token)");
        say!("Ctrl-C ends it.");
        // A terminal shows lines at once, a pipe does not.
        let _ = io::stdout().flush();
    }

    fn end(self) -> bool {
        self.handle.drain();
        self.ended.recv_timeout(PATIENCE).unwrap_or(false)
    }
}

fn start_sandbox(
    faults: Vec<String>,
) -> Result<(Sandbox, tokio::sync::oneshot::Sender<()>), Trouble> {
    let settings = Settings {
        client_id: LICENCE.to_owned(),
        switches: Switches {
            token_life: TOKEN_LIFE,
            ..Switches::default()
        },
        faults,
        ..Settings::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sandbox = runtime.block_on(Sandbox::start(settings))?;
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("sandbox".to_owned())
        .spawn(move || {
            // Whether it is told or its owner has gone: either ends it.
            let _ = runtime.block_on(ended);
        })?;
    Ok((sandbox, end))
}

fn judge_received(call: &Call, entry: &Entry, wrong: &mut Vec<String>) {
    let query = String::from_utf8_lossy(entry.query()).replace(&token_of(entry), "{token}");
    if query != call.query_at_dqe {
        wrong.push(format!(
            "DQE's query is {query:?} and not {:?}",
            call.query_at_dqe
        ));
    }
    let bearers = entry.header_values("authorization");
    if !matches!(bearers[..], [one] if one.starts_with(b"Bearer ")) {
        wrong.push(format!(
            "DQE received {} credentials and not one bearer token",
            bearers.len()
        ));
    }
    let scope = entry
        .credentials
        .first()
        .and_then(|presented| presented.scope);
    let scope = scope.map_or_else(|| "none".to_owned(), |scope| scope.to_string());
    if scope == call.scope {
        say!("   its token is alive and of the scope {scope}");
    } else {
        wrong.push(format!(
            "the token's scope is {scope} and not {}",
            call.scope
        ));
    }
    for violation in &entry.violations {
        wrong.push(format!("violation: {}", violation.name()));
    }
}

/// A header value for people: of a token only its beginning.
fn shown_value(name: &[u8], value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if !name.eq_ignore_ascii_case(b"authorization") {
        return text.into_owned();
    }
    let (scheme, token) = text.split_once(' ').unwrap_or(("", &text));
    format!("{scheme} {}", beginning(token))
}

fn beginning(token: &str) -> String {
    let beginning: String = token.chars().take(8).collect();
    format!("{beginning}…")
}

/// The token that came in the header; `{no token}` when there was none, which
/// stands in no target.
fn token_of(entry: &Entry) -> String {
    let bearer = entry.header_values("authorization");
    let token = bearer
        .first()
        .and_then(|value| value.strip_prefix(b"Bearer "));
    token.map_or_else(
        || "{no token}".to_owned(),
        |token| String::from_utf8_lossy(token).into_owned(),
    )
}

fn shortened(body: &str) -> String {
    let body = body.trim_end();
    match body.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &body[..end]),
        None => body.to_owned(),
    }
}

/// The command's own thread serves nobody while it waits.
fn pause(duration: Duration) {
    std::thread::park_timeout(duration);
}
