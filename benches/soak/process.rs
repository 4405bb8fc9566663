//! The real program as processes of its own: a fake DQE and the proxy in front
//! of it, on free ports, killed when they are dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::calls::CALLS;
use crate::wire::Caller;

const START: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The secret that the fake DQE accepts unless told otherwise.
pub(crate) const SECRET: &str = "sandbox-secret";
pub(crate) const LICENCE: &str = "SANDBOX";

/// Where the program and a folder for files are.
pub(crate) struct Ground {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Ground {
    /// A path in the folder that nobody else was given.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{number}-{name}"))
    }
}

/// How a pair is started.
pub(crate) struct Setup {
    pub(crate) life: Duration,
    /// The switches that make the server's personality.
    pub(crate) switches: &'static [&'static str],
    /// Secrets the fake DQE accepts.
    pub(crate) secrets: Vec<&'static str>,
    /// Environment of the proxy, beside what every proxy gets.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Setup {
    pub(crate) fn new(life: Duration, switches: &'static [&'static str]) -> Self {
        Self {
            life,
            switches,
            secrets: vec![SECRET],
            settings: Vec::new(),
        }
    }

    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub(crate) async fn start(&self, ground: &Ground) -> Result<Pair, Failure> {
        let dqe = Dqe::start(ground, self.life, self.switches, &self.secrets).await?;
        let log = ground.fresh("proxy.log");
        let has_file = self
            .settings
            .iter()
            .any(|(name, _)| *name == "DQE_PROXY_DQE_CLIENT_SECRET_FILE");
        let mut command = Command::new(&ground.binary);
        command
            .arg("run")
            .env_clear()
            .env("DQE_SERVER", format!("http://{}", dqe.address))
            .env("DQE_LICENCE", LICENCE)
            .env("DQE_PROXY_LISTENER_ADDRESS", "127.0.0.1:0")
            .env("DQE_PROXY_LISTENER_THREADS", "1")
            .env("DQE_PROXY_ADMIN_ADDRESS", "127.0.0.1:0")
            .env("DQE_PROXY_LOG_FORMAT", "json")
            .env("DQE_PROXY_LOG_ACCESS", "false")
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        if !has_file {
            command.env("DQE_CLIENT_SECRET", SECRET);
        }
        let mut process = Process::start(&mut command, &log)?;
        let line = process.says(&log, "\"listener\":\"").await?;
        let line: Value = serde_json::from_str(&line)?;
        let address = |name: &str| -> Result<SocketAddr, Failure> {
            let text = line.get(name).and_then(Value::as_str);
            Ok(text.ok_or("the proxy tells no address")?.parse()?)
        };
        Ok(Pair {
            proxy: address("listener")?,
            admin: address("admin")?,
            dqe,
            process,
        })
    }
}

/// A running proxy with its own fake DQE.
pub(crate) struct Pair {
    pub(crate) proxy: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) dqe: Dqe,
    process: Process,
}

impl Pair {
    /// Waits until a call of every scope is answered well.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        let mut caller = Caller::of(self.proxy);
        for (_, target) in CALLS {
            first_good(&mut caller, target, START).await?;
        }
        Ok(())
    }

    /// Resident memory of the proxy in KiB.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.ok_or("the system tells no VmRSS")?.parse()?)
    }

    /// The value of a metric, written with its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64, Failure> {
        let answer = Caller::of(self.admin).get("/metrics").await?;
        let text = String::from_utf8(answer.body)?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value
            .ok_or_else(|| format!("there is no metric {name}"))?
            .parse()?)
    }
}

/// Calls until the answer is a 200; how long that took.
pub(crate) async fn first_good(
    caller: &mut Caller,
    target: &str,
    deadline: Duration,
) -> Result<Duration, Failure> {
    let begun = Instant::now();
    loop {
        let status = caller.get(target).await?.status;
        if status == 200 {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > deadline {
            return Err(format!("{target} still answers {status} after {deadline:?}").into());
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// A running fake DQE.
pub(crate) struct Dqe {
    pub(crate) address: SocketAddr,
    control: SocketAddr,
    _process: Process,
}

impl Dqe {
    pub(crate) async fn start(
        ground: &Ground,
        life: Duration,
        switches: &[&str],
        secrets: &[&str],
    ) -> Result<Self, Failure> {
        let log = ground.fresh("sandbox.log");
        let mut command = Command::new(&ground.binary);
        command
            .args(["sandbox", "--quiet", "--journal-size", "10"])
            .args([
                "--address",
                "127.0.0.1:0",
                "--control-address",
                "127.0.0.1:0",
            ])
            .args(["--client-id", LICENCE])
            .arg("--token-life")
            .arg(format!("{}ms", life.as_millis()))
            .args(
                secrets
                    .iter()
                    .flat_map(|secret| ["--client-secret", secret]),
            )
            .args(switches.iter().flat_map(|switch| ["--switch", switch]))
            .env_clear();
        let mut process = Process::start(&mut command, &log)?;
        let mut address = async |before: &str| -> Result<SocketAddr, Failure> {
            let line = process.says(&log, before).await?;
            let text = line.split("http://").nth(1);
            Ok(text.ok_or("the sandbox tells no address")?.trim().parse()?)
        };
        Ok(Self {
            address: address("A fake DQE answers on ").await?,
            control: address("Its control port is ").await?,
            _process: process,
        })
    }

    /// One order to the control port, and what it answers.
    pub(crate) async fn order(
        &self,
        method: &str,
        target: &str,
        body: &str,
    ) -> Result<Value, Failure> {
        let answer = Caller::of(self.control)
            .call(method, target, &[], body)
            .await?;
        if answer.status != 200 {
            let text = String::from_utf8_lossy(&answer.body);
            return Err(format!("{method} {target} {body}: {} {text}", answer.status).into());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Sets a fault; its number.
    pub(crate) async fn fault(&self, fault: &str) -> Result<u64, Failure> {
        let answer = self.order("POST", "/faults", fault).await?;
        let id = answer.get("id").and_then(Value::as_u64);
        Ok(id.ok_or("the fault has no number")?)
    }

    pub(crate) async fn counters(&self) -> Result<Counters, Failure> {
        Ok(Counters(self.order("GET", "/counters", "").await?))
    }
}

/// A reading of the fake DQE's counters.
pub(crate) struct Counters(Value);

impl Counters {
    /// One that is always there.
    pub(crate) fn of(&self, name: &str) -> Result<u64, Failure> {
        let value = self.0.get(name).and_then(Value::as_u64);
        Ok(value.ok_or_else(|| format!("there is no counter {name}"))?)
    }

    /// All whose name begins so.
    pub(crate) fn beginning(&self, with: &str) -> impl Iterator<Item = u64> {
        let all = self.0.as_object().into_iter().flatten();
        all.filter(move |(name, _)| name.starts_with(with))
            .filter_map(|(_, value)| value.as_u64())
    }
}

/// A child process. Dropping it kills it.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let file = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{:?} cannot be started: {error}", command.get_program()))?;
        Ok(Self(child))
    }

    /// The first line of the log with `word` in it, once it is whole.
    async fn says(&mut self, log: &Path, word: &str) -> Result<String, Failure> {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(log)?;
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| line.contains(word)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = self.0.try_wait()? {
                return Err(format!("the program ended with {status}: {text}").into());
            }
            if begun.elapsed() > START {
                return Err(format!("the program never said {word}: {text}").into());
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either has ended already or ends now: there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
