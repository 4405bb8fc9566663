//! Random calls, whole and damaged, over kept and pipelined connections, and
//! an oracle that knows nothing of how the proxy works: see [`server`].
//!
//! The suite makes a short run with a fixed seed. A long one:
//!
//! ```sh
//! DQE_PROXY_FUZZ_REQUESTS=1000000 DQE_PROXY_FUZZ_SEED=7 \
//!     cargo test --locked --test it fuzz:: -- --nocapture
//! ```

mod calls;
mod random;
mod server;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::Program;
use random::Random;
use server::Server;

/// Callers at the same time.
const CALLERS: u64 = 4;
/// Calls on one connection at most.
const PIPELINED: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("DQE_PROXY_FUZZ_{name}"));
    text.map_or(default, |text| text.parse().unwrap())
}

#[test]
#[allow(clippy::print_stdout, reason = "a long run tells what it has done")]
fn no_bytes_of_a_caller_break_the_isolation_of_credentials() {
    let (requests, seed) = (number("REQUESTS", 20_000), number("SEED", 1));
    let server = Server::start();
    let mut program = Program::start(&server.url(), &[], &[]);
    let progress = Arc::new(Progress::default());
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (progress, address) = (Arc::clone(&progress), program.address);
            std::thread::spawn(move || {
                let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(caller));
                let mut batch = 0;
                while progress.answers.load(Ordering::Relaxed) < requests && progress.is_clean() {
                    batch += 1;
                    call_once(
                        address,
                        &mut random,
                        &format!("{caller}-{batch}"),
                        &progress,
                    );
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    let statuses = progress.statuses.lock().unwrap();
    println!(
        "seed {seed}: {} answers in {:.1?}, {} calls reached the server; by status {statuses:?}",
        progress.answers.load(Ordering::Relaxed),
        begun.elapsed(),
        server.judged()
    );
    let found: Vec<String> = progress
        .found
        .lock()
        .unwrap()
        .iter()
        .cloned()
        .chain(server.violations())
        .collect();
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
    program.check_log();
    // A run that is refused at the door, or never damaged, shows nothing.
    for status in [200, 400, 404] {
        assert!(
            statuses.contains_key(&status),
            "no {status} in {statuses:?}"
        );
    }
    assert!(server.judged() * 4 > progress.answers.load(Ordering::Relaxed));
}

/// An oracle that says yes to everything would find nothing.
#[test]
fn the_oracle_knows_a_violation_when_it_sees_one() {
    let server = Server::start();
    let host = server.url().replace("http://", "host: ");
    let credential = "authorization: Bearer T0K3N-client_phone";
    let good = format!("GET /TEL/?a HTTP/1.1\r\n{host}\r\n{credential}\r\nx-a: 1");
    for (head, expected) in [
        (good.clone(), None),
        (format!("{good}\r\ncontent-length: 5"), None),
        (format!("{good}\r\ntransfer-encoding: chunked"), None),
        (good.replace("phone", "email"), Some("another credential")),
        (good.replace("/TEL/", "/RNVP/"), Some("another credential")),
        (
            format!("{good}\r\n{credential}"),
            Some("not one host and one credential"),
        ),
        (
            good.replace(credential, "x-b: 2"),
            Some("not one host and one credential"),
        ),
        (format!("{good}\r\nhost: other"), Some("another host")),
        (
            good.replace("/TEL/", "/oauth/access_token/"),
            Some("no target to forward"),
        ),
        (
            good.replace("/TEL/", "/x/../TEL/"),
            Some("no target to forward"),
        ),
        (
            format!("{good}\r\ncookie: a"),
            Some("a field that stays inside"),
        ),
        (format!("{good}\r\nx-b : 1"), Some("no field name")),
        (format!("{good}\r\nx-b: a\rb"), Some("a bare CR or LF")),
        (format!("{good}\r\nx-b: a\0b"), Some("a control character")),
        (format!("{good}\r\ncontent-length: +5"), Some("no length")),
        (
            format!("{good}\r\ncontent-length: 5\r\ncontent-length: 5"),
            Some("two framings"),
        ),
        (
            format!("{good}\r\ncontent-length: 5\r\ntransfer-encoding: chunked"),
            Some("two framings"),
        ),
        (
            format!("{good}\r\ntransfer-encoding: gzip"),
            Some("another coding"),
        ),
        (good.replace("GET", "TRACE"), Some("no method to forward")),
    ] {
        assert_eq!(server.verdict(&head), expected, "{head:?}");
    }
}

#[derive(Default)]
struct Progress {
    answers: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    found: Mutex<Vec<String>>,
}

impl Progress {
    fn is_clean(&self) -> bool {
        self.found.lock().unwrap().is_empty()
    }

    fn finds(&self, what: String) {
        self.found.lock().unwrap().push(what);
    }
}

/// One connection from its first byte to its last.
fn call_once(address: SocketAddr, random: &mut Random, name: &str, progress: &Progress) {
    let mut sent = Vec::new();
    for _ in 0..=random.below(PIPELINED) {
        sent.extend_from_slice(&calls::call(random, name));
    }
    sent.extend_from_slice(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => return progress.finds(format!("cannot connect: {error}")),
    };
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    // A proxy that has refused and closed makes these fail; what came tells.
    let _ = stream.write_all(&sent);
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received)
        && error.kind() == std::io::ErrorKind::WouldBlock
    {
        progress.finds(format!(
            "no end of the connection for {}",
            sent.escape_ascii()
        ));
    }
    for secret in server::SECRETS {
        if contains(&received, secret.as_bytes()) {
            progress.finds(format!("{secret} in {}", received.escape_ascii()));
        }
    }
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    // No body here holds what an answer begins with, but for a sentence on HTTP.
    let begins = b"HTTP/1.1 ";
    for (start, _) in received
        .windows(begins.len())
        .enumerate()
        .filter(|(_, part)| part == begins)
    {
        let status = received.get(start + begins.len()..start + begins.len() + 3);
        let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(status) = status {
            *statuses.entry(status).or_default() += 1;
        }
    }
    for line in received.split(|byte| *byte == b'\n') {
        // What the server echoes is what this very connection has sent.
        if let Some(echo) = line.strip_prefix(b"x-echo: ")
            && !contains(&sent, echo.trim_ascii())
        {
            progress.finds(format!(
                "the answer of another caller: {}",
                echo.escape_ascii()
            ));
        }
    }
    progress
        .answers
        .fetch_add(statuses.values().sum(), Ordering::Relaxed);
    let mut all = progress.statuses.lock().unwrap();
    for (status, count) in statuses {
        *all.entry(status).or_default() += count;
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
