//! What can be wrong with the TLS of DQE's side: no byte of a credential leaves
//! before the handshake is over and the certificate has been verified, the
//! caller, the log and `doctor` say what it is, and all is well again as soon
//! as the other side is.

mod server;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use crate::support::{
    Answer, Connection, PATIENCE, Program, Running, Setup, call, eventually, get, read_body,
    read_head, serve_each,
};
use server::{Authority, Conduct, End, Server, TOKEN, self_signed};

/// Good for the years around these tests.
const GOOD: std::ops::Range<i32> = 2000..2100;
const SECRETS: [&str; 4] = [
    TOKEN,
    "Bearer",
    "S3CR3T-of-the-suite",
    "L1C3NC3-of-the-suite",
];

/// A fault, and how it is told: by the proxy's code, in the log, by `doctor`.
struct Fault {
    name: &'static str,
    conduct: Conduct,
    code: &'static str,
    cause: &'static str,
    doctor: &'static str,
}

fn faults(authority: &Authority) -> Vec<Fault> {
    let fault = |name, conduct, cause, doctor| Fault {
        name,
        conduct,
        code: "upstream_tls",
        cause,
        doctor,
    };
    vec![
        fault(
            "expired",
            authority.identity("127.0.0.1", 2000..2010),
            "certificate expired",
            "tls_certificate_expired",
        ),
        fault(
            "not yet valid",
            authority.identity("127.0.0.1", 2090..2100),
            "certificate not valid yet",
            "tls_not_yet_valid",
        ),
        fault(
            "another host's",
            authority.identity("dqe.example", GOOD),
            "not valid for name",
            "tls_wrong_name",
        ),
        fault(
            "of an unknown authority",
            Authority::new().identity("127.0.0.1", GOOD),
            "UnknownIssuer",
            "tls_unknown_authority",
        ),
        fault(
            "self-signed",
            self_signed(),
            "UnknownIssuer",
            "tls_unknown_authority",
        ),
        // What a server of TLS 1.1 answers to one that speaks 1.2 at least.
        fault(
            "TLS 1.1 only",
            Conduct::Says(b"\x15\x03\x02\x00\x02\x02\x46"),
            "ProtocolVersion",
            "tls_failed",
        ),
        fault(
            "no common cipher",
            Conduct::Says(b"\x15\x03\x03\x00\x02\x02\x28"),
            "HandshakeFailure",
            "tls_failed",
        ),
        fault(
            "plain HTTP",
            Conduct::Says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            "corrupt message",
            "tls_not_spoken",
        ),
        fault("reset", Conduct::Resets, "reset", "tls_failed"),
        Fault {
            code: "connect_timeout",
            ..fault("silent", Conduct::Stalls, "", "tls_silent")
        },
    ]
}

fn file_of(authority: &Authority) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &authority.pem).unwrap();
    (folder, path.display().to_string())
}

/// Nothing was said in TLS, nothing that may not be seen outside of it.
#[track_caller]
fn nothing_went_out(server: &Server, name: &str) {
    let (connections, raw, said) = server.received();
    assert!(connections > 0, "{name}: nobody came");
    assert!(said.is_empty(), "{name}: {}", said.escape_ascii());
    for secret in SECRETS {
        let found = raw
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{name}: {secret} in the clear");
    }
    let begins = raw.first().copied();
    assert_eq!(begins, Some(0x16), "{name}: no handshake came first");
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_call_goes_out_after_the_handshake_only_and_each_fault_is_told() {
    let authority = Authority::new();
    let (_folder, file) = file_of(&authority);
    let good = authority.identity("127.0.0.1", GOOD);
    for fault in faults(&authority) {
        let name = fault.name;
        let server = Server::start(good.clone());
        // Silence is to be waited for, and a handshake that takes its time is no fault.
        let patience = if fault.code == "connect_timeout" {
            "1s"
        } else {
            "20s"
        };
        let settings = [
            ("UPSTREAM_CA_FILES", &*file),
            ("UPSTREAM_CONNECT_TIMEOUT", patience),
        ];
        let mut program = Program::start(&server.url(), &settings, &[TOKEN, "0612345678"]);
        let post = "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nConnection: close\r\n\r\nTel=0612345678";
        assert_eq!(call(program.address, post).status, 200, "{name}");
        server.turns_to(fault.conduct);
        let status = if fault.code == "connect_timeout" {
            504
        } else {
            502
        };
        for answer in [
            get(program.address, "/TEL/?Tel=0612345678"),
            call(program.address, post),
        ] {
            assert_eq!(
                (answer.status, &*code(&answer)),
                (status, fault.code),
                "{name}"
            );
        }
        nothing_went_out(&server, name);
        let says = |line: &String| line.contains(fault.code) && line.contains(fault.cause);
        eventually(&format!("the log tells of it: {name}"), || {
            program.warned().iter().any(says)
        });
        server.turns_to(good.clone());
        assert_eq!(call(program.address, post).status, 200, "{name}, mended");
        let (_, _, said) = server.received();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("POST /TEL/"), "{name}: {said}");
        program.check_log();
    }
}

#[test]
fn a_token_is_asked_for_after_the_handshake_only() {
    let authority = Authority::new();
    let (_folder, file) = file_of(&authority);
    let good = authority.identity("127.0.0.1", GOOD);
    for fault in faults(&authority) {
        let name = fault.name;
        let server = Server::start(fault.conduct);
        let running = Setup::default()
            .server(&server.url())
            .set("UPSTREAM_CA_FILES", &file)
            .set("UPSTREAM_CONNECT_TIMEOUT", "1s")
            .set("TOKEN_WAIT", "100ms")
            .start();
        eventually("the token endpoint is tried", || server.received().0 > 0);
        let answer = running.get("/TEL/?Tel=0612345678");
        assert_eq!(
            (answer.status, &*code(&answer)),
            (503, "token_unavailable"),
            "{name}"
        );
        nothing_went_out(&server, name);
        server.turns_to(good.clone());
        running.wait_until_ready();
        assert_eq!(
            running.get("/TEL/?Tel=0612345678").status,
            200,
            "{name}, mended"
        );
    }
}

#[test]
fn doctor_names_each_fault() {
    let authority = Authority::new();
    let (_folder, file) = file_of(&authority);
    for fault in faults(&authority) {
        let name = fault.name;
        let server = Server::start(fault.conduct);
        let output = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"))
            .args(["doctor", "--json"])
            .env_clear()
            .env("DQE_SERVER", server.url())
            .env("DQE_LICENCE", SECRETS[3])
            .env("DQE_CLIENT_SECRET", SECRETS[2])
            .env("DQE_PROXY_UPSTREAM_CA_FILES", &file)
            .env("DQE_PROXY_UPSTREAM_CONNECT_TIMEOUT", "1s")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        assert_eq!(
            report["findings"][0]["cause"], fault.doctor,
            "{name}: {text}"
        );
        assert_eq!(output.status.code(), Some(1), "{name}");
        nothing_went_out(&server, name);
    }
}

/// A close that TLS was not told of may be anybody's.
#[test]
fn an_answer_that_ends_without_a_close_notify_is_whole_only_by_its_own_words() {
    let authority = Authority::new();
    let (_folder, file) = file_of(&authority);
    let server = Server::start(authority.identity("127.0.0.1", GOOD));
    let running = Setup::default()
        .server(&server.url())
        .set("UPSTREAM_CA_FILES", &file)
        .start();
    running.wait_until_ready();
    let body = r#"{"a":"b"}"#;
    for (answer, end, is_whole) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}",
            End::Untold,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"a\":\"b\"}",
            End::Untold,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"a\":\"b\"}",
            End::Told,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n",
            End::Untold,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n",
            End::Untold,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n",
            End::Told,
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n{\"a\":\"b\"}", End::Told, true),
        ("HTTP/1.1 200 OK\r\n\r\n{\"a\":\"b\"}", End::Untold, false),
    ] {
        server.answers(answer, end);
        for request in [
            "GET /RNVP/?a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /RNVP/?a HTTP/1.0\r\n\r\n",
        ] {
            let mut caller = Connection::open(running.address);
            caller.send(request);
            let got = caller.answer();
            assert_eq!(
                (got.status, got.complete, &*got.text()),
                (200, is_whole, body),
                "{answer:?} {end:?} {request:?}"
            );
        }
    }
}

/// A connection within TLS, of which the server has read heads.
type Secured = BufReader<StreamOwned<ServerConnection, TcpStream>>;

fn answer_of(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A proxy of one thread before a server that grants tokens and calls `script` with the
/// head of each call, for as long as that returns true.
fn before_scripted(
    script: impl Fn(&str, &mut Secured) -> bool + Send + Sync + 'static,
) -> (tempfile::TempDir, Running) {
    const TOKEN_REPLY: &str = r#"{"access_token":"TK-within-tls","expires_in":86400}"#;
    let authority = Authority::new();
    let (folder, file) = file_of(&authority);
    let Conduct::Speaks(config) = authority.identity("127.0.0.1", GOOD) else {
        unreachable!()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let granted = answer_of(TOKEN_REPLY);
    serve_each(listener, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        while let Some(head) = read_head(&mut stream) {
            read_body(&head, &mut stream);
            let head = String::from_utf8_lossy(&head);
            if head.contains("/oauth/access_token") {
                stream.get_mut().write_all(granted.as_bytes()).unwrap();
            } else if !script(&head, &mut stream) {
                return;
            }
        }
    });
    let running = Setup::default()
        .server(&url)
        .set("UPSTREAM_CA_FILES", &file)
        .set("LISTENER_THREADS", "1")
        .start();
    running.wait_until_ready();
    (folder, running)
}

/// Half a record on a connection that nothing is asked on is as little wanted as a
/// whole one.
#[test]
fn what_has_begun_to_come_behind_an_answer_becomes_no_answer() {
    let answers = [answer_of("ok"), answer_of("evil")];
    let (_folder, running) = before_scripted(move |_, stream| {
        let StreamOwned { conn, sock } = stream.get_mut();
        let mut records = Vec::new();
        for answer in &answers {
            conn.writer().write_all(answer.as_bytes()).unwrap();
            while conn.wants_write() {
                conn.write_tls(&mut records).unwrap();
            }
        }
        let (now, later) = records.split_at(records.len() - 10);
        sock.write_all(now).unwrap();
        if read_head(stream).is_some() {
            let _ = stream.get_mut().sock.write_all(later);
        }
        false
    });
    let mut caller = Connection::open(running.address);
    for _ in 0..3 {
        caller.send_get("/TEL/?Tel=0612345678");
        assert_eq!(caller.answer().text(), "ok");
    }
}

/// Of a long answer, much is waited for while it comes fast. One that comes slowly is
/// passed on as it comes, and a short one behind it is not waited for at all.
#[test]
fn a_long_answer_that_comes_slowly_is_passed_on_byte_by_byte() {
    const FAST: usize = 300_000;
    const SLOW: usize = 20;
    let (long, short) = (answer_of(&"x".repeat(2 * FAST + SLOW)), answer_of("ok"));
    let (taken, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
    let seen = Arc::clone(&ports);
    let (_folder, running) = before_scripted(move |head, stream| {
        let stream = stream.get_mut();
        let port = stream.sock.peer_addr().unwrap().port();
        seen.lock().unwrap().push(port);
        if head.contains("short") {
            return stream.write_all(short.as_bytes()).is_ok();
        }
        let (first, last) = long.as_bytes().split_at(long.len() - FAST);
        let (fast, slow) = first.split_at(first.len() - SLOW);
        stream.write_all(fast).unwrap();
        for byte in slow.chunks(1) {
            // All there was so far is at the caller's.
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            stream.write_all(byte).unwrap();
        }
        stream.write_all(last).is_ok()
    });
    let mut caller = BufReader::new(TcpStream::connect(running.address).unwrap());
    caller.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        let get = b"GET /TEL/?Tel=long HTTP/1.1\r\nHost: x\r\n\r\n";
        caller.get_mut().write_all(get).unwrap();
        read_head(&mut caller).unwrap();
        let mut body = vec![0; FAST];
        caller.read_exact(&mut body).unwrap();
        for at in 0..SLOW {
            taken.send(()).unwrap();
            let more = caller.read_exact(&mut [0]);
            assert!(more.is_ok(), "byte {at}: {more:?}");
        }
        caller.read_exact(&mut body).unwrap();
        let get = b"GET /TEL/?Tel=short HTTP/1.1\r\nHost: x\r\n\r\n";
        caller.get_mut().write_all(get).unwrap();
        let head = read_head(&mut caller).unwrap();
        assert_eq!(read_body(&head, &mut caller).unwrap(), b"ok");
    }
    let mut ports = ports.lock().unwrap().clone();
    assert_eq!(ports.len(), 4);
    ports.dedup();
    assert_eq!(ports.len(), 1, "the connection has been left");
}

/// Passes connections on, each after a pause.
struct Detour {
    address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
}

impl Detour {
    fn start(pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let to: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let target = Arc::clone(&to);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let target = Arc::clone(&target);
                std::thread::spawn(move || {
                    std::thread::park_timeout(pause);
                    let target = (*target.lock().unwrap())?;
                    let far = TcpStream::connect(target).ok()?;
                    let (up, down) = (near.try_clone().ok()?, far.try_clone().ok()?);
                    std::thread::spawn(move || pass_on(up, far));
                    pass_on(down, near);
                    Some(())
                });
            }
        });
        Self { address, to }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn a_connection_that_outlives_the_token_carries_the_next_one() {
    let life = Duration::from_secs(2);
    let (tokens, calls) = (
        Detour::start(Duration::ZERO),
        Detour::start(life + Duration::from_millis(300)),
    );
    let running = Setup::default()
        .https()
        .token_life(life)
        .server(&calls.url())
        .set("TOKEN_SERVER", &tokens.url())
        .set("UPSTREAM_CONNECT_TIMEOUT", "10s")
        .start();
    let url = running.dqe.sandbox.url();
    let dqe: SocketAddr = url.strip_prefix("https://").unwrap().parse().unwrap();
    for detour in [&tokens, &calls] {
        *detour.to.lock().unwrap() = Some(dqe);
    }
    running.wait_until_ready();
    assert_eq!(running.get("/TEL/?Tel=0612345678&Pays=FRA").status, 200);
    let attempts = running.received().len();
    assert_eq!(attempts, 1, "the first token had ended when it arrived");
}
