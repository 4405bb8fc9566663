//! Answers whose end comes before that of their requests: what is left of the body is
//! dropped, and the connection goes on behind it, or its end has been said before
//! (RFC 9112 §9.3, §9.6). The server of these stories reads nothing of a body.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::{
    Answer, Connection, PATIENCE, Running, Scripted, Setup, Stopwatch, eventually,
};

const NEXT: &str = "GET /TEL/?next HTTP/1.1\r\nHost: x\r\n\r\n";
const SMUGGLED: &str = "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly";
/// More than all systems on the way hold.
const LARGE: usize = 8 << 20;

/// Answers each head as soon as it has come. What it says of its connection is true,
/// unless the body is so large that it cannot have come whole.
fn hasty() -> Scripted {
    unreading(|head, stream| {
        let is_told = head.starts_with("POST") && !head.contains("large");
        let answer = if is_told { LAST } else { EARLY };
        stream.get_mut().write_all(answer).is_ok()
    })
}

/// A server that neither reads nor refuses what comes behind the head of a POST.
fn unreading(
    answer: impl Fn(&str, &mut BufReader<TcpStream>) -> bool + Send + Sync + 'static,
) -> Scripted {
    let unread = Mutex::new(VecDeque::new());
    Scripted::start(move |head, stream| {
        let goes_on = answer(head, stream);
        if head.starts_with("GET") {
            return goes_on;
        }
        let mut unread = unread.lock().unwrap();
        unread.push_back(stream.get_ref().try_clone().unwrap());
        // The proxy has long let go of those before.
        if unread.len() > 16 {
            unread.pop_front();
        }
        false
    })
}

fn in_front_of(server: &Scripted) -> Running {
    started(Setup::default().server(server.url()))
}

fn started(setup: Setup) -> Running {
    let running = setup.set("LISTENER_THREADS", "1").start();
    running.wait_until_ready();
    running
}

/// A request with a body of some length which would be as many requests, if it were
/// taken for them: its head and the rest.
fn post(version: &str, fields: &str, length: usize) -> (String, String) {
    let body = SMUGGLED.repeat(length / SMUGGLED.len());
    let head = format!(
        "POST /TEL/?{} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{fields}\r\n",
        size(length),
        body.len()
    );
    (head, body)
}

/// The same in chunks, with an extension and with trailers.
fn post_chunks(length: usize) -> (String, String) {
    let chunk = SMUGGLED.repeat(200);
    let chunk = format!("{:x};a=b\r\n{chunk}\r\n", chunk.len());
    let body = chunk.repeat(length / chunk.len()) + "0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n";
    let head = format!(
        "POST /TEL/?{} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        size(length)
    );
    (head, body)
}

fn size(length: usize) -> &'static str {
    if length < LARGE { "small" } else { "large" }
}

#[track_caller]
fn assert_early(answer: &Answer) {
    assert_eq!((answer.status, &*answer.text()), (200, "early"));
    assert!(answer.complete);
}

#[track_caller]
fn assert_kept(caller: &mut Connection) {
    caller.send(NEXT);
    assert_early(&caller.answer());
}

/// Sends a body on its own thread, since nobody may take it for a while.
fn sending(caller: &mut Connection, body: String) -> std::thread::JoinHandle<()> {
    let mut socket = caller.second_half();
    std::thread::spawn(move || socket.write_all(body.as_bytes()).unwrap())
}

#[test]
fn what_is_left_of_a_body_is_dropped_and_the_next_request_answered() {
    let server = hasty();
    let running = in_front_of(&server);
    let (small, large) = (10_000, LARGE);
    let cases = [
        ("a little", post("1.1", "", small)),
        ("much", post("1.1", "", large)),
        ("a few chunks", post_chunks(small)),
        ("many chunks", post_chunks(large)),
        ("1.0", post("1.0", "Connection: keep-alive\r\n", large)),
    ];
    for (name, (head, body)) in cases {
        let mut caller = Connection::open(running.address);
        // One goes on when it is answered, one has sent the next before.
        for is_together in [false, true] {
            caller.send(&head);
            let behind = if is_together { NEXT } else { "" };
            let sender = sending(&mut caller, format!("{body}{behind}"));
            let answer = caller.answer();
            assert_early(&answer);
            let expected = (name == "1.0").then(|| "keep-alive".to_owned());
            assert_eq!(answer.field("connection"), expected, "{name}");
            if !is_together {
                sender.join().unwrap();
                caller.send(NEXT);
            }
            assert_early(&caller.answer());
        }
    }
    let heads = server.heads();
    assert_eq!(heads.len(), 20);
    for pair in heads.chunks(2) {
        assert!(pair[0].starts_with("POST /TEL/?"), "{heads:#?}");
        assert!(pair[1].starts_with("GET /TEL/?next&"), "{heads:#?}");
    }
    // Towards DQE the rest was cut off, and its connection with it.
    eventually("each POST has ended its connection to DQE", || {
        running.metric("dqe_proxy_upstream_connections_opened_total") == Some(11.0)
    });
}

/// Its end is known when it has come, and no sooner.
#[test]
fn an_early_answer_that_goes_on_slowly_is_followed_by_the_rest_of_the_body() {
    let (goes_on, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let server = unreading(move |head, stream| {
        let stream = stream.get_mut();
        if head.starts_with("GET") {
            return stream.write_all(EARLY).is_ok();
        }
        let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\near\r\n";
        stream.write_all(begun).unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"2\r\nly\r\n0\r\n\r\n").is_ok()
    });
    let running = in_front_of(&server);
    for (head, body) in [post("1.1", "", LARGE), post_chunks(LARGE)] {
        let mut caller = Connection::open(running.address);
        caller.send(&head);
        let sender = sending(&mut caller, body);
        goes_on.send(()).unwrap();
        assert_early(&caller.answer());
        sender.join().unwrap();
        assert_kept(&mut caller);
    }
    assert_eq!(server.heads().len(), 4);
}

#[test]
fn what_a_caller_of_1_0_still_sends_does_not_cost_it_its_answer() {
    let server = hasty();
    let running = in_front_of(&server);
    let mut caller = Connection::open(running.address);
    let (head, body) = post("1.0", "", LARGE);
    caller.send(head);
    sending(&mut caller, body).join().unwrap();
    assert_early(&caller.answer());
    assert!(caller.is_at_end());
}

/// It will never send the rest, and there is nothing to be told it any more.
#[test]
fn a_caller_that_sends_no_more_of_its_body_is_let_go_at_once() {
    let server = hasty();
    let running = in_front_of(&server);
    let mut caller = Connection::open(running.address);
    let (head, body) = post("1.1", "", 100_000);
    caller.send(head);
    caller.send(&body[..50_000]);
    assert_early(&caller.answer());
    caller.finish_sending();
    assert!(caller.is_at_end());
    eventually("the connection has ended", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
}

/// Its time is that of a connection that ends, not that of a body.
#[test]
fn a_body_that_never_ends_is_dropped_for_so_long_and_no_longer() {
    let server = hasty();
    let running = started(
        Setup::default()
            .server(server.url())
            .set("LISTENER_IDLE_TIMEOUT", "1s")
            .set("UPSTREAM_TOTAL_TIMEOUT", "2s"),
    );
    let mut caller = Connection::open(running.address);
    let (head, _) = post("1.1", "", 50 << 20);
    caller.send(head);
    let mut socket = caller.second_half();
    let (begun, watch) = (Instant::now(), Stopwatch::start());
    let sender = std::thread::spawn(move || {
        while socket.write_all(b"x").is_ok() && begun.elapsed() < PATIENCE {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        watch.elapsed()
    });
    assert_early(&caller.answer());
    // The end comes in order: nothing of the answer would be lost by it.
    assert!(!caller.ends_with_reset());
    let told = begun.elapsed();
    assert!(told >= Duration::from_secs(1), "{told:?}");
    let owed = sender.join().unwrap();
    assert!(owed < Duration::from_secs(8), "{owed:?}");
    eventually("the connection has ended", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
    assert_eq!(server.heads().len(), 1);
}

/// A slow body may have its call's whole time behind it when it is dropped.
#[test]
fn the_rest_of_a_body_has_a_time_of_its_own() {
    let server = unreading(|head, stream| {
        let is_first = head.starts_with("POST");
        if is_first {
            std::thread::park_timeout(Duration::from_millis(600));
        }
        let answer = if is_first { LAST } else { EARLY };
        stream.get_mut().write_all(answer).is_ok()
    });
    let running = started(
        Setup::default()
            .server(server.url())
            .set("UPSTREAM_TOTAL_TIMEOUT", "1s"),
    );
    let mut caller = Connection::open(running.address);
    let (head, body) = post("1.1", "", 100_000);
    caller.send(head);
    assert_early(&caller.answer());
    // Longer than the call had left.
    for piece in body.as_bytes().chunks(body.len() / 10 + 1) {
        caller.send(piece);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert_kept(&mut caller);
}

/// Nobody is told that a connection goes on and then finds it closed.
#[test]
fn a_drain_waits_for_the_rest_of_a_body_and_answers_what_has_come_behind_it() {
    let server = hasty();
    let running = in_front_of(&server);
    let mut caller = Connection::open(running.address);
    let (head, body) = post("1.1", "", 200_000);
    let (first, rest) = body.split_at(100_000);
    caller.send(head);
    caller.send(first);
    let answer = caller.answer();
    assert_early(&answer);
    assert_eq!(answer.field("connection"), None);
    let mut idle = Connection::open(running.address);
    assert_kept(&mut idle);
    running.handle.drain();
    assert!(idle.is_at_end());
    caller.send(rest);
    caller.send(NEXT);
    let answer = caller.answer();
    assert_early(&answer);
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    assert!(caller.is_at_end());
    let ended = running.ends_within(Duration::from_secs(15));
    assert!(matches!(ended, Some(Ok(()))), "{ended:?}");
}

/// A caller that has begun its body with an answer on its way, as load generators do.
#[test]
fn calls_on_a_kept_connection_never_fail_for_an_early_answer() {
    const CALLERS: usize = 4;
    const CALLS: usize = 100;
    let server = hasty();
    let running = in_front_of(&server);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut caller = Connection::open(running.address);
                let (head, body) = post("1.1", "", 256 * 1024);
                let call = head + &body;
                for _ in 0..CALLS {
                    caller.send(&call);
                    let answer = caller.answer();
                    assert_early(&answer);
                    assert_eq!(answer.field("connection"), None);
                }
            });
        }
    });
    assert_eq!(server.heads().len(), CALLERS * CALLS);
    let opened = running.metric("dqe_proxy_caller_connections_opened_total");
    assert_eq!(opened, Some(CALLERS as f64));
}
