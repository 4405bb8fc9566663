//! The program itself, as an operator runs it, with everything it logs at the
//! most talkative level looked through as it comes.

use std::io::{BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::{eventually, get};

/// The credentials the program is started with; they stand nowhere else.
pub(crate) const SECRET: &str = "S3CR3T-of-the-suite";
pub(crate) const LICENCE: &str = "L1C3NC3-of-the-suite";

/// A running program. Dropping it kills it.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    found: Arc<Mutex<Vec<String>>>,
    warned: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts it in front of `server`. Whatever of `forbidden` it logs, or a
    /// panic, is kept for [`Self::check_log`].
    #[must_use]
    pub(crate) fn start(server: &str, settings: &[(&str, &str)], forbidden: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"))
            .arg("run")
            .env_clear()
            .env("DQE_SERVER", server)
            .env("DQE_LICENCE", LICENCE)
            .env("DQE_CLIENT_SECRET", SECRET)
            .env("DQE_PROXY_LISTENER_ADDRESS", "127.0.0.1:0")
            .env("DQE_PROXY_ADMIN_ADDRESS", "127.0.0.1:0")
            .env("DQE_PROXY_LOG_LEVEL", "trace")
            .env("DQE_PROXY_LOG_FORMAT", "json")
            .envs(
                settings
                    .iter()
                    .map(|(name, value)| (format!("DQE_PROXY_{name}"), *value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let found: Arc<Mutex<Vec<String>>> = Arc::default();
        let beginning: Arc<Mutex<Vec<u8>>> = Arc::default();
        let words: Vec<String> = forbidden
            .iter()
            .copied()
            .chain([SECRET, LICENCE, super::TOKEN, "panicked at"])
            .map(str::to_owned)
            .collect();
        let warned: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let nothing = Arc::default();
        look_through(
            stdout,
            words.clone(),
            Arc::clone(&found),
            nothing,
            Arc::default(),
        );
        look_through(
            stderr,
            words,
            Arc::clone(&found),
            Arc::clone(&beginning),
            Arc::clone(&warned),
        );
        let mut addresses = None;
        eventually("the program tells where it listens", || {
            let text = String::from_utf8_lossy(&beginning.lock().unwrap()).into_owned();
            addresses = text
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .find_map(|line| Some((address(&line, "listener")?, address(&line, "admin")?)));
            addresses.is_some()
        });
        let (address, admin) = addresses.unwrap();
        let program = Self {
            address,
            admin,
            child,
            found,
            warned,
        };
        eventually("every scope has a token", || {
            let text = get(program.admin, "/metrics").text();
            let fresh = |line: &&str| line.contains("state=\"fresh\"") && line.ends_with(" 1");
            text.lines().filter(fresh).count() == 7
        });
        program
    }

    /// The first warnings it has logged.
    #[must_use]
    pub(crate) fn warned(&self) -> Vec<String> {
        self.warned.lock().unwrap().clone()
    }

    /// The process is there and nothing has been logged that must not be.
    #[track_caller]
    pub(crate) fn check_log(&mut self) {
        assert!(
            self.child.try_wait().unwrap().is_none(),
            "the program has ended"
        );
        let found = self.found.lock().unwrap();
        assert!(found.is_empty(), "logged: {found:#?}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(line: &serde_json::Value, name: &str) -> Option<SocketAddr> {
    line.get(name)?.as_str()?.parse().ok()
}

/// Keeps the beginning, the first warnings, and what holds one of `words`; nothing else, since a
/// long run logs gigabytes.
fn look_through(
    source: impl Read + Send + 'static,
    words: Vec<String>,
    found: Arc<Mutex<Vec<String>>>,
    beginning: Arc<Mutex<Vec<u8>>>,
    warned: Arc<Mutex<Vec<String>>>,
) {
    std::thread::spawn(move || {
        let mut lines = BufReader::with_capacity(1 << 16, source);
        let mut line = Vec::new();
        while std::io::BufRead::read_until(&mut lines, b'\n', &mut line).is_ok_and(|read| read > 0)
        {
            super::logs::keep(&line);
            let text = String::from_utf8_lossy(&line);
            if words.iter().any(|word| text.contains(word.as_str())) {
                let mut found = found.lock().unwrap();
                if found.len() < 20 {
                    found.push(text.clone().into_owned());
                }
            }
            if text.contains(r#""level":"WARN""#) {
                let mut warned = warned.lock().unwrap();
                if warned.len() < 100 {
                    warned.push(text.into_owned());
                }
            }
            let mut beginning = beginning.lock().unwrap();
            if beginning.len() < 1 << 14 {
                beginning.extend_from_slice(&line);
            }
            line.clear();
        }
    });
}
