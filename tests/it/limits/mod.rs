//! Limits: what is refused when one is reached, that it is told at once and in
//! words, that nothing of it is taken for the next request, that one below the
//! limit nothing changes, and that all is well again when the pressure ends.

mod size;

use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{
    Answer, Connection, Process, Running, Scripted, Setup, Stopwatch, eventually,
};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.json()["code"], code);
    assert!(answer.field("proxy-status").unwrap().contains(code));
    let retry_after = (status == 503).then(|| "1".to_owned());
    assert_eq!(answer.field("retry-after"), retry_after);
}

fn post(target: &str, fields: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}")
}

fn of_length(length: usize, media_type: &str) -> String {
    post(
        "/TEL/",
        &format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n"),
        &"a".repeat(length),
    )
}

/// A request of a thousand bytes, in chunks.
fn in_chunks(chunks: usize) -> String {
    let chunk = format!("64\r\n{}\r\n", "a".repeat(100));
    let fields = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    post("/TEL/", fields, &chunk.repeat(chunks))
}

/// Callers whose calls DQE holds.
fn held(running: &Running, count: usize) -> Vec<Connection> {
    let before = running.received().len();
    let callers = (0..count)
        .map(|_| {
            let mut caller = Connection::open(running.address);
            caller.send_get(CALL);
            caller
        })
        .collect();
    eventually("DQE has the calls", || {
        running.received().len() == before + count
    });
    callers
}

#[test]
fn one_request_too_many_is_told_so_at_once_and_its_connection_stays() {
    for (setting, code) in [
        ("LISTENER_MAX_REQUESTS", "too_many_requests"),
        ("UPSTREAM_MAX_REQUESTS", "upstream_full"),
    ] {
        let running = Setup::default().set(setting, "3").start();
        running.wait_until_ready();
        running.dqe.sandbox.set_fault("business:hang").unwrap();
        let mut callers = held(&running, 3);
        let mut caller = Connection::open(running.address);
        for _ in 0..5 {
            let watch = Stopwatch::start();
            caller.send(of_length(100, "application/json"));
            assert_refused(&caller.answer(), 503, code);
            assert!(watch.elapsed() < Duration::from_secs(2));
        }
        // What is not read of a refused request is never the next one.
        let inner = format!("GET {CALL} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(20_000);
        let mut large = Connection::open(running.address);
        let fields = format!("Content-Length: {}\r\n", inner.len());
        large.send(post("/TEL/", &fields, &inner));
        assert_refused(&large.answer(), 503, code);
        assert!(large.is_at_end());
        assert_eq!(running.received().len(), 3, "{setting}");
        // What nobody forwards needs no place.
        assert_eq!(running.get("/nowhere").status, 404);
        let line = format!("dqe_proxy_requests_total{{route=\"/TEL/\",outcome=\"{code}\"}}");
        assert_eq!(running.metric(&line), Some(6.0));

        running.dqe.sandbox.clear_faults();
        drop(callers.pop());
        eventually("the place of the one that left is free", || {
            caller.send_get(CALL);
            caller.answer().status == 200
        });
    }
}

/// The place is the request's until the last byte of its answer.
#[test]
fn an_answer_on_its_way_takes_a_place_until_its_end() {
    for setting in ["LISTENER_MAX_REQUESTS", "UPSTREAM_MAX_REQUESTS"] {
        let scripted = Scripted::start(|head, stream| {
            let size = if head.contains("large") {
                50_000_000
            } else {
                9
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            let body = [b'<'; 9].repeat(size / 9 + 1);
            let stream = stream.get_mut();
            stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&body[..size]).is_ok()
        });
        let running = Setup::default()
            .server(scripted.url())
            .set("LISTENER_THREADS", "1")
            .set(setting, "1")
            .start();
        running.wait_until_ready();
        // On the connection that is kept afterwards.
        assert_eq!(running.get(CALL).status, 200);
        let mut slow = Connection::open(running.address);
        slow.send_get("/TEL/?large");
        assert!(slow.raw_line().unwrap().starts_with("HTTP/1.1 200"));
        assert_eq!(running.get(CALL).status, 503, "{setting}");
        drop(slow);
        eventually("the place is free", || running.get(CALL).status == 200);
    }
}

#[test]
fn below_its_limits_a_proxy_serves_whatever_comes() {
    let running = Setup::default()
        .set("LISTENER_MAX_REQUESTS", "4")
        .set("UPSTREAM_MAX_REQUESTS", "4")
        .set("LISTENER_MAX_CONNECTIONS_PER_CALLER", "8")
        .start();
    running.wait_until_ready();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut caller = Connection::open(running.address);
                for _ in 0..200 {
                    caller.send_get(CALL);
                    assert_eq!(caller.answer().status, 200);
                }
            });
        }
    });
    assert_eq!(running.received().len(), 800);
}

/// What a server may do to a call, by the digit it is asked for.
fn misbehave(head: &str, stream: &mut BufReader<TcpStream>) -> bool {
    let digit = head
        .split("Tel=")
        .nth(1)
        .map_or('0', |tail| tail.chars().next().unwrap());
    let answer: &[u8] = match digit {
        '1' => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}",
        '2' => b"HTTP/1.1 302 Found\r\nLocation: /TEL/?Tel=0\r\nContent-Length: 2\r\n\r\n{}",
        '3' => b"HTTP/1.1 302 Found\r\nLocation: /TEL/?Tel=3\r\nContent-Length: 0\r\n\r\n",
        '4' => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Tel\":",
        '5' => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        '6' => b"",
        '7' => b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx",
        '8' => {
            let mut rest = [0; 512];
            while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
            return false;
        }
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    };
    let is_sent = stream.get_mut().write_all(answer).is_ok();
    is_sent && !matches!(digit, '4' | '6' | '7')
}

#[test]
fn whatever_becomes_of_calls_their_places_are_free_again() {
    let scripted = Scripted::start(misbehave);
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_MAX_REQUESTS", "3")
        .set("UPSTREAM_MAX_REQUESTS", "3")
        .set("LISTENER_MAX_CONNECTIONS", "16")
        .set("LISTENER_MAX_BODY", "64KiB")
        .set("UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")
        .set("RELAY_PATHS", "/dqe.php,/dqe.asmx/Call")
        .start();
    running.wait_until_ready();
    let too_long = in_chunks(700);
    for digit in 0..9 {
        let get = format!("GET /TEL/?Tel={digit} HTTP/1.1\r\nHost: x\r\n\r\n");
        let form = |path: &str, field: &str| {
            post(
                path,
                &format!(
                    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                    field.len()
                ),
                field,
            )
        };
        let whole = [
            get.clone(),
            form(&format!("/TEL/?Tel={digit}"), "Pays=FRA"),
            form("/dqe.php", &format!("url=TEL/?Tel={digit}")),
            form("/dqe.asmx/Call", &format!("url=TEL/?Tel={digit}")),
            too_long.clone(),
        ];
        for request in &whole {
            for _ in 0..4 {
                let mut caller = Connection::open(running.address);
                caller.send(request);
                let _ = caller.try_answer(false);
                // Left at once, within the head or the body, and after all was sent.
                for end in [20, request.len() - 3, request.len()] {
                    let mut leaver = Connection::open(running.address);
                    leaver.send(&request.as_bytes()[..end]);
                }
                eventually("all have left", || {
                    running.metric("dqe_proxy_caller_connections") <= Some(1.0)
                });
            }
        }
    }
    eventually("nothing is answered any more", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
            && running.metric("dqe_proxy_caller_connections_parked") == Some(0.0)
            && running.metric("dqe_proxy_requests_in_flight") == Some(0.0)
    });
    let before = scripted.heads().len();
    let callers: Vec<Connection> = (0..3)
        .map(|_| {
            let mut caller = Connection::open(running.address);
            caller.send_get("/TEL/?Tel=8");
            caller
        })
        .collect();
    eventually("as many as ever are at the server", || {
        scripted.heads().len() == before + callers.len()
    });
}

/// The process that runs this story is larger than the limit whatever it does.
#[test]
fn short_of_memory_few_requests_are_let_in() {
    let running = Setup::default().set("LISTENER_MAX_MEMORY", "16MiB").start();
    running.wait_until_ready();
    eventually("the memory is looked at", || {
        running.metric("dqe_proxy_memory_short") == Some(1.0)
    });
    assert!(running.metric("process_resident_memory_bytes") > Some(16e6));
    assert_eq!(running.get(CALL).status, 200, "few are not none");
    running.dqe.sandbox.set_fault("business:hang").unwrap();
    let callers = held(&running, 16);
    assert_refused(&running.get(CALL), 503, "memory_short");
    drop(callers);
    running.dqe.sandbox.clear_faults();
    eventually("there is a place again", || running.get(CALL).status == 200);

    let large = Setup::default().set("LISTENER_MAX_MEMORY", "64GiB").start();
    large.wait_until_ready();
    assert_eq!(large.metric("dqe_proxy_memory_short"), Some(0.0));
}

/// A connection from another address of this machine.
fn open_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(source)), 0);
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

#[test]
fn a_caller_with_enough_connections_takes_no_place_of_others() {
    let running = Setup::default()
        .set("LISTENER_MAX_CONNECTIONS_PER_CALLER", "3")
        .start();
    running.wait_until_ready();
    let mut callers: Vec<Connection> = (0..3)
        .map(|_| {
            let mut caller = Connection::open(running.address);
            caller.send_get(CALL);
            assert_eq!(caller.answer().status, 200);
            caller
        })
        .collect();
    for _ in 0..2 {
        let refused = running.get(CALL);
        assert_refused(&refused, 503, "too_many_connections_of_caller");
        assert_eq!(refused.field("connection").as_deref(), Some("close"));
    }
    let shed = |reason: &str| {
        let name = "dqe_proxy_caller_connections_shed_total";
        running.metric(&format!("{name}{{reason=\"{reason}\"}}"))
    };
    assert_eq!(shed("max_connections_per_caller"), Some(2.0));
    assert_eq!(shed("max_connections"), Some(0.0));

    let mut other = open_from([127, 0, 0, 2], running.address);
    let request = format!("GET {CALL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    other.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    callers.pop();
    eventually("the caller may have one more again", || {
        running.get(CALL).status == 200
    });
}

/// Requests that are answered as fast as they come are no reason not to look at
/// anybody else.
#[test]
fn a_flood_of_requests_on_one_connection_holds_up_no_other() {
    let running = Setup::default().set("LISTENER_THREADS", "1").start();
    running.wait_until_ready();
    let answered = Arc::new(AtomicUsize::new(0));
    let mut flooding = Connection::open(running.address);
    let mut sender = flooding.second_half();
    let reader = flooding.second_half();
    let sending = std::thread::spawn(move || {
        let many = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
        while sender.write_all(many.as_bytes()).is_ok() {}
    });
    let counter = Arc::clone(&answered);
    let reading = std::thread::spawn(move || {
        while flooding.try_answer(false).is_some() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let count = || answered.load(Ordering::Relaxed);
    eventually("the flood has risen", || count() > 1_000);
    for _ in 0..5 {
        assert_eq!(running.get(CALL).status, 200);
    }
    let before = count();
    eventually("it goes on", || count() > before);
    reader.shutdown(Shutdown::Both).unwrap();
    sending.join().unwrap();
    reading.join().unwrap();
}

/// A caller that takes nothing of its answer is no burden for longer than the
/// settings say, and the server is let go as well.
#[test]
fn a_caller_that_reads_nothing_of_its_answer_is_let_go() {
    let (sender, ended) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let scripted = Scripted::start(move |_, stream| {
        let stream = stream.get_mut();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let written = (0..100).all(|_| stream.write_all(&[b'<'; 1_000_000]).is_ok());
        let _ = sender.lock().unwrap().send(written);
        false
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "500ms")
        .start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    let begun = Instant::now();
    caller.send_get(CALL);
    let written = ended.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(!written, "the call to the server is ended");
    assert!(begun.elapsed() >= Duration::from_millis(450));
    eventually("it is logged as stalled", || {
        let lines = running.log_lines("/TEL/");
        lines.iter().any(|line| line["code"] == "answer_stalled")
    });
    assert!(!caller.answer().complete);
}

/// Without a descriptor for a connection to DQE a call fails for a reason of the
/// proxy's own, which is told in words; when callers leave, calls go on.
#[test]
fn without_descriptors_calls_are_refused_and_then_go_on() {
    let dqe = Setup::default().start_dqe();
    let folder = tempfile::tempdir().unwrap();
    let url = dqe.sandbox.url();
    let variables = [
        ("DQE_SERVER", &*url),
        ("DQE_LICENCE", "SANDBOX"),
        ("DQE_CLIENT_SECRET", "sandbox-secret"),
        ("DQE_PROXY_LISTENER_THREADS", "1"),
        ("DQE_PROXY_LISTENER_MAX_CONNECTIONS", "1000"),
        // Each call needs a descriptor of its own.
        ("DQE_PROXY_UPSTREAM_MAX_IDLE", "0"),
    ];
    let arguments = ["run", "--admin", "off"];
    let proxy = Process::start_with_descriptors(folder.path(), 48, &arguments, &variables);
    let address = proxy.listener();
    let mut caller = Connection::open(address);
    let mut status = || {
        caller.send_get(CALL);
        caller.answer()
    };
    eventually("calls are answered", || status().status == 200);
    let crowd: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut refused = None;
    eventually("the descriptors are taken", || {
        refused = Some(status()).filter(|answer| answer.status != 200);
        refused.is_some()
    });
    assert_refused(&refused.unwrap(), 503, "out_of_sockets");
    // Now and then a descriptor is free for one; DQE is never blamed.
    for _ in 0..20 {
        assert!(matches!(status().status, 200 | 503));
    }
    drop(crowd);
    eventually("calls are answered again", || status().status == 200);
    let text = proxy.said();
    let lines = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("\"code\":\"out_of_sockets\""), 1, "{text}");
    assert_eq!(lines("cannot accept connections"), 1, "{text}");
}
