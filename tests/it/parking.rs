//! An idle connection is parked: what HTTP is spoken with is given back. No
//! caller can tell, whatever it sends, and however slowly.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::support::{Connection, Running, Scripted, Setup, Stopwatch, eventually};

const REQUEST: &str = "GET /TEL/?Tel=0612345678 HTTP/1.1\r\nHost: x\r\n\r\n";

fn parked(running: &Running, count: f64) {
    eventually(&format!("{count} connections are parked"), || {
        running.metric("dqe_proxy_caller_connections_parked") == Some(count)
    });
}

fn connected(running: &Running) -> Connection {
    let before = running.metric("dqe_proxy_caller_connections_parked");
    let connection = Connection::open(running.address);
    parked(running, before.unwrap() + 1.0);
    connection
}

fn ready() -> Running {
    ready_with(Setup::default())
}

fn ready_with(setup: Setup) -> Running {
    let running = setup.start();
    running.wait_until_ready();
    running
}

/// Sends the request, which is answered.
#[track_caller]
fn call_on(connection: &mut Connection) {
    connection.send(REQUEST);
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn a_connection_is_parked_before_its_first_byte_and_after_each_answer() {
    let running = ready();
    let mut connection = connected(&running);
    for _ in 0..3 {
        call_on(&mut connection);
        parked(&running, 1.0);
    }
    drop(connection);
    parked(&running, 0.0);
    assert_eq!(running.metric("dqe_proxy_caller_connections"), Some(0.0));
    assert_eq!(running.received().len(), 3);
}

#[test]
fn a_posted_form_is_read_to_its_end_before_its_connection_is_parked() {
    let running = ready();
    let mut connection = connected(&running);
    for body in ["Tel=0612345678", "Tel=0698765432"] {
        for framed in [
            format!("Content-Length: {}\r\n\r\n{body}", body.len()),
            format!("Transfer-Encoding: chunked\r\n\r\ne\r\n{body}\r\n0\r\n\r\n"),
        ] {
            connection.send(format!("POST /TEL/ HTTP/1.1\r\nHost: x\r\n{framed}"));
            assert_eq!(connection.answer().status, 200);
            parked(&running, 1.0);
        }
    }
    assert_eq!(running.received().len(), 4);
}

/// The rest of a body that nobody wanted is no request, whenever it comes.
#[test]
fn the_rest_of_a_refused_body_is_never_taken_for_a_request() {
    let running = ready();
    let mut connection = Connection::open(running.address);
    connection.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nhalf");
    assert_eq!(connection.answer().status, 404);
    // Longer than it takes to be parked.
    let mut others: Vec<Connection> = (0..3).map(|_| Connection::open(running.address)).collect();
    for other in &mut others {
        call_on(other);
    }
    parked(&running, 3.0);
    let mut second = connection.second_half();
    // It may have been closed by now, which is as good.
    let _ = std::io::Write::write_all(&mut second, REQUEST.as_bytes());
    assert!(connection.try_answer(false).is_none());
    assert_eq!(running.received().len(), 3);
}

#[test]
fn requests_sent_together_are_answered_one_by_one_and_then_it_is_parked() {
    let running = ready();
    let mut connection = connected(&running);
    for _ in 0..2 {
        connection.send(REQUEST.repeat(5));
        for _ in 0..5 {
            assert_eq!(connection.answer().status, 200);
        }
        parked(&running, 1.0);
    }
    assert_eq!(running.received().len(), 10);
}

/// Old programs send an empty line behind a body (RFC 9112 §2.2). It begins no
/// request, whose time would run from then on.
#[test]
fn a_connection_idles_on_with_an_empty_line_on_it() {
    let running = ready_with(Setup::default().set("LISTENER_HEADER_TIMEOUT", "300ms"));
    for line in ["\r\n", "\n", "\r\n\r\n"] {
        for is_late in [false, true] {
            let mut connection = connected(&running);
            let post = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na";
            let behind = if is_late { "" } else { line };
            connection.send(format!("{post}{behind}"));
            assert_eq!(connection.answer().status, 404);
            if is_late {
                connection.send(line);
            }
            // A head that has begun since then has run out of time.
            let mut other = Connection::open(running.address);
            other.send("G");
            assert!(other.is_at_end());
            parked(&running, 1.0);
            connection.send(REQUEST);
            assert_eq!(connection.answer().status, 200, "{line:?}, late: {is_late}");
            drop(connection);
            parked(&running, 0.0);
        }
    }
}

/// What came in one breath with the last request stays the beginning of the next.
#[test]
fn half_a_request_that_came_with_the_last_one_is_kept() {
    let running = ready();
    for at in [1, 4, 30, REQUEST.len() - 1] {
        let (first, rest) = REQUEST.split_at(at);
        let mut connection = Connection::open(running.address);
        connection.send(format!("{REQUEST}{first}"));
        assert_eq!(connection.answer().status, 200);
        // Others are parked meanwhile, so this one has had the time to be.
        let mut other = connected(&running);
        call_on(&mut other);
        parked(&running, 1.0);
        connection.send(rest);
        assert_eq!(connection.answer().status, 200, "cut at {at}");
        drop((connection, other));
        parked(&running, 0.0);
    }
    assert_eq!(running.received().len(), 12);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_read_from_a_parked_connection() {
    let running = ready();
    let mut connection = connected(&running);
    for _ in 0..2 {
        for byte in REQUEST.bytes() {
            connection.send([byte]);
        }
        assert_eq!(connection.answer().status, 200);
        parked(&running, 1.0);
    }
}

/// Half a head is none, and a connection with half a head is not idle: its time
/// is that of a head, whether the beginning came alone or with a request.
#[test]
fn a_head_that_does_not_end_has_the_time_of_a_head() {
    let running = ready_with(
        Setup::default()
            .set("LISTENER_HEADER_TIMEOUT", "600ms")
            .set("LISTENER_IDLE_TIMEOUT", "60s"),
    );
    for before in ["", REQUEST] {
        let mut connection = connected(&running);
        let (sent, watch) = (Instant::now(), Stopwatch::start());
        connection.send(format!("{before}GET /TEL/ HTT"));
        if !before.is_empty() {
            assert_eq!(connection.answer().status, 200);
        }
        assert!(connection.is_at_end());
        let (took, owed) = (sent.elapsed(), watch.elapsed());
        assert!(took >= Duration::from_millis(600), "{took:?}");
        assert!(owed < Duration::from_secs(3), "{owed:?}");
    }
}

#[test]
fn a_parked_connection_is_closed_when_its_idle_time_is_over_and_not_before() {
    let running = ready_with(Setup::default().set("LISTENER_IDLE_TIMEOUT", "900ms"));
    for is_new in [true, false] {
        let mut idle_after = Instant::now();
        let mut connection = connected(&running);
        if !is_new {
            idle_after = Instant::now();
            call_on(&mut connection);
            parked(&running, 1.0);
        }
        let watch = Stopwatch::start();
        assert!(connection.is_at_end());
        let (took, owed) = (idle_after.elapsed(), watch.elapsed());
        assert!(took >= Duration::from_millis(900), "{took:?}");
        assert!(owed < Duration::from_secs(3), "{owed:?}");
    }
    parked(&running, 0.0);
}

#[test]
fn an_old_caller_that_keeps_its_connection_or_closes_its_half_is_answered() {
    let running = ready();
    let mut connection = connected(&running);
    let old = "GET /TEL/?Tel=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        connection.send(old);
        let answer = connection.answer();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("connection").as_deref(), Some("keep-alive"));
        parked(&running, 1.0);
    }
    connection.send("GET /TEL/?Tel=1 HTTP/1.0\r\n\r\n");
    connection.finish_sending();
    assert_eq!(connection.answer().status, 200);
    assert!(connection.is_at_end());
    parked(&running, 0.0);
}

/// What it was told of an answer whose end only the connection's would have been is
/// over with that answer: a later one, read late, is not lost by a reset.
#[test]
fn an_old_callers_kept_connection_ends_in_order() {
    const LENGTH: usize = 100_000;
    let scripted = Scripted::start(|head, stream| {
        let answer = if head.contains("large") {
            let body = "<".repeat(LENGTH);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n{body}")
        } else {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned()
        };
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let running = ready_with(
        Setup::default()
            .server(scripted.url())
            .set("LISTENER_IDLE_TIMEOUT", "500ms"),
    );
    let mut caller = Connection::open_narrow(running.address);
    let old = |target: &str| format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    caller.send(old("/TEL/?short"));
    assert_eq!(caller.answer().text(), "{}");
    caller.send(old("/TEL/?large"));
    eventually("its idle time is over", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
    let answer = caller.answer();
    assert_eq!((answer.complete, answer.body.len()), (true, LENGTH));
    assert!(!caller.ends_with_reset());
}

#[test]
fn a_caller_that_closes_its_half_of_a_parked_connection_ends_it() {
    let running = ready();
    let mut connection = connected(&running);
    call_on(&mut connection);
    parked(&running, 1.0);
    connection.finish_sending();
    assert!(connection.is_at_end());
    parked(&running, 0.0);
    eventually("it is no longer counted", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
}

/// Whoever leaves a request is not answered: DQE's connection is closed with it.
#[test]
fn a_caller_that_leaves_in_mid_request_frees_its_place() {
    let running = ready_with(Setup::default().fault("business:hang"));
    for body in ["", "Tel=1"] {
        let mut connection = Connection::open(running.address);
        connection.send(format!(
            "POST /TEL/?Tel=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        eventually("the request is at DQE", || {
            running.metric("dqe_proxy_requests_in_flight") == Some(1.0)
                && running.metric("dqe_proxy_upstream_connections") >= Some(1.0)
        });
        drop(connection);
        eventually("the request has ended", || {
            running.metric("dqe_proxy_requests_in_flight") == Some(0.0)
        });
    }
}

#[test]
fn a_drain_closes_parked_connections_at_once_and_answers_what_they_send_last() {
    let running = ready_with(Setup::default().set("LISTENER_IDLE_TIMEOUT", "60s"));
    let mut connections: Vec<Connection> = (0..20).map(|_| connected(&running)).collect();
    running.end().unwrap();
    for connection in &mut connections {
        assert!(connection.is_at_end());
    }
}

#[test]
fn parked_connections_count_among_those_that_are_allowed() {
    let running = ready_with(Setup::default().set("LISTENER_MAX_CONNECTIONS", "16"));
    let connections: Vec<Connection> = (0..16).map(|_| connected(&running)).collect();
    let mut surplus = Connection::open(running.address);
    assert_eq!(surplus.answer().status, 503);
    drop(connections);
    parked(&running, 0.0);
    assert_eq!(running.get("/TEL/?Tel=1").status, 200);
}

/// An answer that ends while its caller does not read leaves its tail with the
/// proxy: such a connection looks idle, and what is left of the answer is in
/// what would be given back.
#[test]
fn the_tail_of_an_answer_that_is_read_late_is_not_lost() {
    let scripted = Scripted::start(|head, stream| {
        let size = head.split("Tel=").nth(1).unwrap();
        let size: usize = size[..size.find(['&', ' ']).unwrap()].parse().unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        let answer = [answer.into_bytes(), vec![b'x'; size]].concat();
        std::io::Write::write_all(stream.get_mut(), &answer).is_ok()
    });
    let running = ready_with(
        Setup::default()
            .server(scripted.url())
            .set("LISTENER_HEADER_TIMEOUT", "500ms"),
    );
    // Between what the sockets take and what is too much for the proxy as well.
    let (mut ends, mut stays) = (32 * 1024, 64 * 1024 * 1024);
    let mut calls = 0;
    while stays - ends > 16 * 1024 {
        calls += 1;
        let size = (ends + stays) / 2;
        let mut connection = Connection::open_narrow(running.address);
        connection.send_get(&format!("/TEL/?Tel={size}"));
        let begun = Instant::now();
        let has_ended = loop {
            if scripted.heads().len() == calls
                && running.metric("dqe_proxy_requests_in_flight") == Some(0.0)
            {
                break true;
            }
            if begun.elapsed() > Duration::from_millis(700) {
                break false;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        };
        if has_ended {
            // Half a second, more than it takes to be parked.
            let mut other = Connection::open(running.address);
            other.send("GET");
            assert!(other.is_at_end());
        }
        let answer = connection.answer();
        assert_eq!((answer.body.len(), answer.complete), (size, true));
        drop(connection);
        parked(&running, 0.0);
        if has_ended {
            ends = size;
        } else {
            stays = size;
        }
    }
}

/// After the last answer the proxy listens for some seconds, so that a caller
/// that still sends can read it. That is no idle connection: nothing that comes
/// on it is a request any more, and it ends however long idle ones may stay.
#[test]
fn a_connection_whose_last_answer_is_written_is_never_parked() {
    let running = ready_with(Setup::default().set("LISTENER_IDLE_TIMEOUT", "60s"));
    let last = "POST /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 14\r\n\r\n";
    let mut whole = Connection::open(running.address);
    whole.send(format!("{last}Tel=0612345678"));
    // Too long a body is refused before its end.
    let mut refused = Connection::open(running.address);
    refused.send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nTel=");
    assert_eq!(whole.answer().status, 200);
    assert_eq!(refused.answer().status, 413);
    let begun = Instant::now();
    eventually("both are closed", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(3),
        "they are listened to: {took:?}"
    );
    assert_eq!(running.received().len(), 1);
}

/// Whoever reads slowly has its answer whole although the proxy stops: whether it
/// is still on its way to the proxy, or all there and not yet written.
#[test]
fn a_drain_leaves_time_to_read_the_tail_of_an_answer() {
    let scripted = Scripted::start(|head, stream| {
        let size = head.split("Tel=").nth(1).unwrap();
        let size: usize = size[..size.find(['&', ' ']).unwrap()].parse().unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        let answer = [answer.into_bytes(), vec![b'x'; size]].concat();
        std::io::Write::write_all(stream.get_mut(), &answer).is_ok()
    });
    let running = ready_with(Setup::default().server(scripted.url()));
    // Wherever the limit of what the sockets take is, some are a little above it.
    let sizes: Vec<usize> = (24..72).map(|piece| piece * 64 * 1024).collect();
    let mut callers: Vec<Connection> = Vec::new();
    for size in &sizes {
        let mut caller = Connection::open_narrow(running.address);
        caller.send_get(&format!("/TEL/?Tel={size}"));
        callers.push(caller);
    }
    eventually("all are answered", || scripted.heads().len() == sizes.len());
    assert!(running.ends_within(Duration::from_millis(500)).is_none());
    running.handle.drain();
    eventually("it drains", || {
        std::net::TcpStream::connect(running.address).is_err()
    });
    assert!(running.ends_within(Duration::from_millis(600)).is_none());
    for (caller, size) in callers.iter_mut().zip(sizes) {
        let answer = caller.answer();
        assert_eq!((answer.body.len(), answer.complete), (size, true));
    }
    drop(callers);
    assert!(matches!(
        running.ends_within(Duration::from_secs(10)),
        Some(Ok(()))
    ));
}

/// The drain does not take the answer from a caller that is still sending.
#[test]
fn a_drain_leaves_time_to_read_why_a_body_is_refused() {
    let running = ready();
    let mut caller = Connection::open(running.address);
    caller.send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nTel=");
    eventually("it is refused", || {
        running.metric("dqe_proxy_requests_total{route=\"/TEL/\",outcome=\"body_too_large\"}")
            == Some(1.0)
    });
    running.handle.drain();
    assert!(running.ends_within(Duration::from_millis(600)).is_none());
    for _ in 0..10 {
        caller.send("a".repeat(100));
    }
    assert_eq!(caller.answer().status, 413);
    assert!(caller.is_at_end());
    drop(caller);
    assert!(matches!(
        running.ends_within(Duration::from_secs(10)),
        Some(Ok(()))
    ));
}
