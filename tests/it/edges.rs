//! Promises at the edges: where two rules meet, or where what is right shows only
//! under an odd peer or at an odd moment.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Connection, Process, Running, Scripted, Setup, Stopwatch, call, eventually};

fn in_front_of(scripted: &Scripted) -> Running {
    let running = Setup::default().server(scripted.url()).start();
    running.wait_until_ready();
    running
}

/// RFC 9112 §6.3: Transfer-Encoding overrides Content-Length, towards the
/// caller as well, who would else see a whole answer as a cut one.
#[test]
fn an_answer_with_two_framings_reaches_the_caller_with_one() {
    let running = in_front_of(&Scripted::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ));
    let answer = running.get("/TEL/?Tel=1");
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.complete),
        (200, "ok", true)
    );
}

/// RFC 9112 §6.3: a list of equal lengths is refused, or replaced by one of them.
#[test]
fn a_list_of_lengths_never_goes_on() {
    let running = in_front_of(&Scripted::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    ));
    let answer = running.get("/TEL/?Tel=1");
    assert_eq!(answer.status, 502);
}

/// The end of the connection is the only end an HTTP/1.0 caller knows, so a
/// cut answer has to end with a reset.
#[test]
fn a_cut_chunked_answer_is_no_clean_end_for_an_http_1_0_caller() {
    let running = in_front_of(&Scripted::start(|_, stream| {
        let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo";
        let _ = stream.get_mut().write_all(cut.as_bytes());
        false
    }));
    let mut connection = Connection::open(running.address);
    connection.send("GET /TEL/?Tel=1 HTTP/1.0\r\n\r\n");
    assert!(connection.ends_with_reset());
}

/// A GET may have a body; dropping it would forward another request as if it
/// were whole.
#[test]
fn a_chunked_body_of_a_get_is_forwarded_or_refused_but_never_dropped() {
    let running = Running::start();
    running.wait_until_ready();
    let answer = call(
        running.address,
        "GET /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    );
    match running.received().pop() {
        Some(entry) => assert_eq!(entry.body.as_ref(), b"ab"),
        None => assert!(matches!(answer.status, 400 | 411 | 501)),
    }
}

/// RFC 9112 §6.1: a coding that is not understood is answered 501; taking
/// "chunked" off and "gzip" with it makes another body of it.
#[test]
fn a_body_in_a_coding_besides_chunked_is_refused() {
    let running = Running::start();
    running.wait_until_ready();
    for coding in ["gzip, chunked", "chunked, chunked", "identity, chunked"] {
        let answer = call(
            running.address,
            format!(
                "POST /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\nab\r\n0\r\n\r\n"
            ),
        );
        assert!(
            matches!(answer.status, 400 | 501),
            "{coding}: {}",
            answer.status
        );
    }
    assert!(running.received().is_empty());
}

/// RFC 9112 §3.2: a server MUST answer 400 to each of these.
#[test]
fn a_request_without_exactly_one_valid_host_is_a_400() {
    let running = Running::start();
    running.wait_until_ready();
    for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a b/c@d\r\n"] {
        let request = format!("GET /TEL/?Tel=1 HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        assert_eq!(call(running.address, request).status, 400, "{hosts:?}");
    }
    assert!(running.received().is_empty());
    let old = call(running.address, "GET /TEL/?Tel=1 HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200, "HTTP/1.0 needs no Host");
}

/// While a caller waits for a token, the deadline of the phase before (the head,
/// or the attempt that was refused) no longer counts.
#[test]
fn a_wait_for_a_token_ends_in_an_answer_whatever_the_time_outs_before_it() {
    let cold = Setup::default()
        .fault("token:hang")
        .set("LISTENER_HEADER_TIMEOUT", "300ms")
        .set("TOKEN_WAIT", "1s")
        .start();
    let mut connection = Connection::open(cold.address);
    connection.send_get("/TEL/?Tel=1");
    let answer = connection.try_answer(false);
    assert_eq!(answer.map(|answer| answer.status), Some(503));

    let refused = Setup::default()
        .set("UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")
        .set("TOKEN_WAIT", "1s")
        .start();
    refused.wait_until_ready();
    refused.dqe.sandbox.set_fault("token:hang").unwrap();
    refused
        .dqe
        .sandbox
        .set_fault("business:unauthorized")
        .unwrap();
    let mut connection = Connection::open(refused.address);
    connection.send_get("/TEL/?Tel=1");
    let answer = connection.try_answer(false);
    assert_eq!(answer.map(|answer| answer.status), Some(502));
}

/// A server whose answer stands still after these bytes of its body.
fn standing_still_after(begun: &'static str) -> Running {
    let scripted = Scripted::start(move |_, stream| {
        let begun = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{begun}");
        let _ = stream.get_mut().write_all(begun.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
        false
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "300ms")
        .start();
    running.wait_until_ready();
    running
}

/// Who ends a connection at its deadline leaves the expiry to the body, which
/// else would blame the caller.
#[test]
fn an_answer_that_stands_still_is_counted_as_stalled() {
    let running = standing_still_after("<begun");
    assert!(!running.get("/TEL/?Tel=1").complete);
    eventually("its line is written", || {
        !running.log_lines("/TEL/").is_empty()
    });
    assert_eq!(running.log_lines("/TEL/")[0]["code"], "answer_stalled");
}

/// As long as an answer may turn out to be a dead token's nothing of it is
/// passed on, so that the caller can be told in words.
#[test]
fn an_answer_that_stands_still_before_it_says_anything_is_a_timeout() {
    for begun in ["", "{", "{\"1\":{\"IdErr"] {
        let running = standing_still_after(begun);
        let answer = running.get("/TEL/?Tel=1");
        let code = answer.json()["code"].as_str().map(str::to_owned);
        assert_eq!(
            (answer.status, code.as_deref()),
            (504, Some("answer_timeout"))
        );
    }
}

/// Nothing more of the body is read between the refusal and the replay, so its
/// beginning stays at hand.
#[test]
fn an_early_401_to_a_large_body_is_never_the_callers_fault() {
    let hold = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&hold);
    let scripted = Scripted::holding_tokens(hold, move |_, stream| {
        held.store(true, Ordering::Relaxed);
        let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.get_mut().write_all(refusal.as_bytes());
        // The next token comes when more is read than is kept, or no more comes.
        let _ = stream.read_exact(&mut vec![0; 80_000]);
        held.store(false, Ordering::Relaxed);
        false
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("TOKEN_WAIT", "10s")
        .start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    connection.send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    eventually("the token is refused", || {
        running.metric("dqe_proxy_token_forced_renewals_total{scope=\"client_phone\"}") == Some(1.0)
    });
    connection.send(vec![b'a'; 100_000]);
    let answer = connection.answer();
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (502, Some("credential_rejected"))
    );
}

/// The runtime knows only what its poller has seen, of the backlog and of what
/// waits in a socket; a drain must not reset the rest.
#[cfg(unix)]
#[test]
fn a_drain_serves_all_that_waits_in_the_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("DQE_SERVER", "http://127.0.0.1:1"),
        ("DQE_LICENCE", "X"),
        ("DQE_CLIENT_SECRET", "hunter2"),
        ("DQE_PROXY_LISTENER_THREADS", "2"),
        ("DQE_PROXY_LISTENER_MAX_CONNECTIONS", "1000"),
    ];
    let mut proxy = Process::start(folder.path(), &["run"], &variables);
    let address = proxy.listener();
    proxy.signal(&["STOP"]);
    let mut callers: Vec<_> = (0..600)
        .map(|_| {
            let mut caller = Connection::open(address);
            caller.send_get("/nowhere");
            caller
        })
        .collect();
    proxy.signal(&["TERM", "CONT"]);
    let signalled = Stopwatch::start();
    let answered = callers
        .iter_mut()
        .filter_map(|caller| caller.try_answer(false))
        .count();
    assert_eq!(answered, 600);
    assert!(proxy.ends().success());
    // Callers that stay connected do not hold it up.
    assert!(signalled.elapsed() < Duration::from_secs(15));
}

/// The end of what the caller sends can be seen together with the body's last
/// byte, before the reader of the body has seen its end. It is not the caller's
/// departure.
#[test]
fn a_caller_that_closes_its_sending_side_after_a_body_gets_its_answer() {
    let running = Running::start();
    running.wait_until_ready();
    let content = "Content-Type: application/x-www-form-urlencoded";
    let body = "Tel=0612345678&Pays=FRA";
    let large = format!("{body}&x={}", "y".repeat(100_000));
    let requests = [
        format!("POST /TEL/ HTTP/1.0\r\n{content}\r\nContent-Length: 23\r\n\r\n{body}"),
        format!(
            "POST /TEL/?{body} HTTP/1.0\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n{large}",
            large.len()
        ),
        format!(
            "POST /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{content}\r\n\
             Transfer-Encoding: chunked\r\n\r\n17\r\n{body}\r\n0\r\n\r\n"
        ),
    ];
    for request in requests {
        for _ in 0..30 {
            let mut connection = Connection::open(running.address);
            connection.send(&request);
            connection.finish_sending();
            let answer = connection.try_answer(false);
            assert_eq!(answer.map(|answer| answer.status), Some(200));
        }
    }
    let mut cut = Connection::open(running.address);
    cut.send("POST /TEL/ HTTP/1.0\r\nContent-Length: 23\r\n\r\nTel=06");
    cut.finish_sending();
    assert_eq!(cut.answer().status, 400, "a cut body is no whole one");
}

/// A body that stands still because the server reads no more of it is not the
/// caller's fault.
#[test]
fn a_server_that_stops_reading_is_blamed_itself() {
    let silent = Scripted::start(|_, stream| {
        let _ = stream
            .get_mut()
            .set_read_timeout(Some(Duration::from_secs(30)));
        std::thread::park_timeout(Duration::from_secs(15));
        false
    });
    let running = Setup::default()
        .server(silent.url())
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "2s")
        .set("UPSTREAM_FIRST_BYTE_TIMEOUT", "2s")
        .start();
    running.wait_until_ready();
    let address = running.address;
    let answer = std::thread::spawn(move || {
        let mut connection = Connection::open(address);
        let mut sender = connection.second_half();
        std::thread::spawn(move || {
            let size = 64 << 20;
            let head = format!("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
            let _ = sender.write_all(head.as_bytes());
            // More than all socket buffers on the way can hold; ends when the proxy closes.
            let _ = sender.write_all(&vec![b'a'; size]);
        });
        connection.answer()
    });
    let answer = answer.join().unwrap();
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (504, Some("answer_timeout"))
    );
}

/// RFC 9112 §6.3: a length that two readers could take for two is refused;
/// equal ones that repeat go on as one.
#[test]
fn one_length_goes_on_or_none() {
    let running = Running::start();
    running.wait_until_ready();
    let request = |lengths: &str| {
        format!("POST /TEL/ HTTP/1.1\r\nHost: x\r\n{lengths}\r\nConnection: close\r\n\r\nTel=06")
    };
    for lengths in [
        "Content-Length: 6, 6",
        "Content-Length: 6,6",
        "Content-Length: +6",
        "Content-Length: 6\r\nContent-Length: 7",
    ] {
        let answer = call(running.address, request(lengths));
        assert_eq!(answer.status, 400, "{lengths:?}");
    }
    assert!(running.received().is_empty());
    let repeated = "Content-Length: 6\r\nContent-Length: 6";
    assert_eq!(call(running.address, request(repeated)).status, 200);
    let entry = running.last_received();
    assert_eq!(entry.header_values("content-length"), [b"6"]);
    assert!(entry.header_values("transfer-encoding").is_empty());
}

/// Callers that stay connected take no more descriptors than leaves some for
/// the way to DQE; the next one is told at once, and has a place when one goes.
#[test]
fn a_caller_without_a_place_is_told_so_at_once() {
    let running = Setup::default()
        .set("LISTENER_MAX_CONNECTIONS", "3")
        .start();
    running.wait_until_ready();
    let mut callers: Vec<Connection> = (0..3)
        .map(|_| {
            let mut caller = Connection::open(running.address);
            caller.send_get("/TEL/?Tel=0612345678");
            assert_eq!(caller.answer().status, 200);
            caller
        })
        .collect();
    let refused = call(
        running.address,
        format!(
            "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{}",
            "a".repeat(100_000)
        ),
    );
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (503, Some("too_many_connections"))
    );
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    assert_eq!(
        running.metric("dqe_proxy_caller_connections_shed_total{reason=\"max_connections\"}"),
        Some(1.0)
    );
    callers.pop();
    eventually("the place is free again", || {
        running.get("/TEL/?Tel=0612345678").status == 200
    });
}

/// Some callers send an empty line behind a body, which belongs to nothing. A socket
/// that is closed before it comes is reset by it, and what of the answer has not
/// reached its caller is lost (RFC 9112 §9.6).
#[test]
fn an_empty_line_behind_the_last_body_costs_no_answer() {
    const SIZE: usize = 40_000;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
    let answer = [answer.into_bytes(), vec![b'x'; SIZE]].concat();
    let running = in_front_of(&Scripted::answering(answer));
    for (number, version) in ["1.0", "1.1\r\nHost: x\r\nConnection: close"]
        .into_iter()
        .enumerate()
    {
        let mut caller = Connection::open_narrow(running.address);
        caller.send(format!(
            "POST /TEL/?Tel=1 HTTP/{version}\r\nContent-Length: 2\r\n\r\nab"
        ));
        eventually("the answer is written", || {
            running.log_lines("/TEL/").len() == number + 1
        });
        caller.send("\r\n");
        let answer = caller.answer();
        assert_eq!((answer.body.len(), answer.complete), (SIZE, true));
    }
}

/// Callers that send all they want and then close their side, as a script with a
/// pipe does, get every answer (RFC 9112 §9.3.2).
#[test]
fn requests_sent_together_are_all_answered_to_a_caller_that_then_closes_its_side() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let running = in_front_of(&Scripted::answering(answer));
    for number in [2, 3, 10] {
        let mut caller = Connection::open(running.address);
        let request = "GET /TEL/?Tel=1 HTTP/1.1\r\nHost: x\r\n\r\n";
        caller.send(request.repeat(number));
        caller.finish_sending();
        for _ in 0..number {
            assert_eq!(caller.answer().status, 200);
        }
        assert!(caller.is_at_end());
    }
}
