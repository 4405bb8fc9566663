//! The server breaks while it reads a request, and what becomes of connections
//! that were kept for a next one.

use std::io::Write;
use std::time::{Duration, Instant};

use super::server::{self, Framed, Leaves, Server};
use super::{SPEAKERS, Speaks, proxy, request};
use crate::support::{Answer, Connection, Running, Scripted, Setup, Stopwatch, eventually};

fn code(answer: &Answer) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let code = problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned()));
    code.unwrap_or_default()
}

/// Makes the connection that the next call finds in the pool, or none.
fn prepare(running: &Running, number: usize, kept: bool) {
    let framed = if kept {
        Framed::ByLength
    } else {
        Framed::ByClose
    };
    let mut caller = Connection::open(running.address);
    caller.send(request("GET", Speaks::ClosingHttp11, framed, number));
    assert_eq!(caller.answer().body, server::body(number));
}

#[test]
fn a_server_that_leaves_at_any_byte_of_a_request_gets_no_post_twice() {
    let server = Server::start();
    let running = proxy(&server, &[]);
    let mut number = 100_000;
    let mut wrong = Vec::new();
    let mut cases = 0;
    for method in ["GET", "POST"] {
        number += 1;
        let mut caller = Connection::open(running.address);
        let closing = Speaks::ClosingHttp11;
        caller.send(request(method, closing, Framed::ByLength, number));
        assert_eq!(caller.answer().status, 200);
        let length = server.seen(number)[0].length;
        for leaves in [Leaves::Reset, Leaves::Closes, Leaves::HalfCloses] {
            for after in 0..=length {
                for kept in [false, true] {
                    cases += 1;
                    prepare(&running, number + 1, kept);
                    number += 2;
                    server.turns_deaf(leaves, after);
                    let speaks = SPEAKERS[after % 3];
                    let mut caller = Connection::open(running.address);
                    caller.send(request(method, speaks, Framed::ByLength, number));
                    let answer = caller.answer();
                    // Where the connection may have been closed as idle, a GET is sent again.
                    let (status, expected, times) = if method == "GET" && kept {
                        (200, "", 1)
                    } else {
                        (502, "upstream_broken", 0)
                    };
                    let heard = server.heard().map(|heard| heard.len());
                    let times_seen = server.seen(number).len();
                    if (answer.status, &*code(&answer)) != (status, expected)
                        || !answer.complete
                        || times_seen != times
                        || heard != Some(after)
                    {
                        wrong.push(format!(
                            "{method} {speaks:?} {leaves:?} after {after}, kept: {kept}: {} {}, \
                             seen {times_seen} times, {heard:?} heard",
                            answer.status,
                            answer.text()
                        ));
                    }
                }
            }
        }
    }
    assert!(cases > 1000);
    assert!(
        wrong.is_empty(),
        "{} of {cases}: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(9)]
    );
}

#[test]
fn a_server_that_leaves_in_the_middle_of_a_large_body_is_told_of_once() {
    const BODY: usize = 8 << 20;
    let server = Server::start();
    let patience = ("UPSTREAM_FIRST_BYTE_TIMEOUT", "1s");
    let idle = ("UPSTREAM_BODY_IDLE_TIMEOUT", "1s");
    let running = proxy(&server, &[patience, idle]);
    let piece = vec![b'x'; 1 << 16];
    for leaves in [Leaves::Reset, Leaves::HalfCloses, Leaves::Stalls] {
        for after in [0, 1, 400, 1 << 16, 1 << 20, 4 << 20] {
            for coded in [false, true] {
                for speaks in [Speaks::KeepingHttp11, Speaks::ClosingHttp11] {
                    server.turns_deaf(leaves, after);
                    let framing = if coded {
                        "Transfer-Encoding: chunked".to_owned()
                    } else {
                        format!("Content-Length: {BODY}")
                    };
                    let close = match speaks {
                        Speaks::ClosingHttp11 => "Connection: close\r\n",
                        Speaks::KeepingHttp11 | Speaks::Http10 => "",
                    };
                    let mut caller = Connection::open(running.address);
                    caller.send(format!(
                        "POST /RNVP/?n=7 HTTP/1.1\r\nHost: x\r\n{close}\
                         Content-Type: application/octet-stream\r\n{framing}\r\n\r\n"
                    ));
                    let mut sending = caller.second_half();
                    let piece = piece.clone();
                    let sender = std::thread::spawn(move || {
                        for _ in 0..BODY / piece.len() {
                            // A proxy that has given up may close.
                            let sent = if coded {
                                write!(sending, "{:x}\r\n", piece.len())
                                    .and_then(|()| sending.write_all(&piece))
                                    .and_then(|()| sending.write_all(b"\r\n"))
                            } else {
                                sending.write_all(&piece)
                            };
                            if sent.is_err() {
                                return;
                            }
                        }
                        if coded {
                            let _ = sending.write_all(b"0\r\n\r\n");
                        }
                    });
                    let watch = Stopwatch::start();
                    let answer = caller.answer();
                    let owed = watch.elapsed();
                    let expected = match leaves {
                        Leaves::Stalls => (504, "answer_timeout"),
                        Leaves::Reset | Leaves::Closes | Leaves::HalfCloses => {
                            (502, "upstream_broken")
                        }
                    };
                    let case = format!("{leaves:?} after {after}, chunks: {coded}, {speaks:?}");
                    assert_eq!((answer.status, &*code(&answer)), expected, "{case}");
                    assert!(owed < Duration::from_secs(5), "{case}: {owed:?}");
                    assert_eq!(server.seen(7).len(), 0, "{case}: it came again");
                    drop(caller);
                    sender.join().unwrap();
                }
            }
        }
    }
}

#[test]
fn a_kept_connection_the_server_has_left_is_not_used_again() {
    let server = Server::start();
    let running = proxy(&server, &[]);
    let mut left = 0;
    for (index, leaves) in [Leaves::Reset, Leaves::Closes, Leaves::HalfCloses]
        .into_iter()
        .enumerate()
    {
        for (round, method) in ["GET", "POST"].into_iter().enumerate() {
            let number = 200_000 + 10 * index + 2 * round;
            let (whole, _) = server::answer(number, Framed::ByLength);
            server.agrees(
                number,
                server::Fault {
                    leaves,
                    after: whole.len(),
                },
            );
            let ask = |number| {
                let mut caller = Connection::open(running.address);
                let speaks = Speaks::ClosingHttp11;
                caller.send(request(method, speaks, Framed::ByLength, number));
                caller.answer()
            };
            assert_eq!(ask(number).body, server::body(number));
            left += 1;
            eventually("the server has left", || server.left() == left);
            let next = ask(number + 1);
            assert_eq!(next.body, server::body(number + 1), "{leaves:?} {method}");
            assert_eq!(server.seen(number + 1).len(), 1);
        }
    }
}

/// A server that says `first` and then a byte every 20 ms, without end.
fn trickling(first: &'static [u8]) -> Scripted {
    Scripted::start(move |_, stream| {
        let stream = stream.get_mut();
        let mut goes_on = stream.write_all(first).is_ok();
        while goes_on {
            std::thread::park_timeout(Duration::from_millis(20));
            goes_on = stream.write_all(b"x").is_ok();
        }
        false
    })
}

#[test]
fn an_answer_that_trickles_has_its_time_and_no_more() {
    for (first, setting, status, code_expected) in [
        (
            &b"HTTP/1.1 200 OK\r\nX-Long: "[..],
            "FIRST_BYTE",
            504,
            "answer_timeout",
        ),
        (
            b"HTTP/1.1 100 Continue\r\nX-Long: ",
            "FIRST_BYTE",
            504,
            "answer_timeout",
        ),
        (
            b"HTTP/1.1 200 OK\r\nX-Long: ",
            "TOTAL",
            504,
            "total_timeout",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;",
            "TOTAL",
            200,
            "",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{\"a\":\"b\",",
            "TOTAL",
            200,
            "",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n{\"a\":\"b\",", "TOTAL", 200, ""),
    ] {
        let server = trickling(first);
        let setup = Setup::default().server(server.url());
        let running = setup
            .set(&format!("UPSTREAM_{setting}_TIMEOUT"), "400ms")
            .start();
        running.wait_until_ready();
        for request in [
            "GET /RNVP/?a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /RNVP/?a HTTP/1.0\r\n\r\n",
        ] {
            let case = format!("{request} {}", first.escape_ascii());
            let (begun, watch) = (Instant::now(), Stopwatch::start());
            let mut caller = Connection::open(running.address);
            caller.send(request);
            let answer = caller.answer();
            let (took, owed) = (begun.elapsed(), watch.elapsed());
            assert!(took >= Duration::from_millis(350), "{case}: {took:?}");
            assert!(owed < Duration::from_secs(3), "{case}: {owed:?}");
            if answer.status == 200 {
                assert_eq!((status, answer.complete), (200, false), "{case}");
            } else {
                assert_eq!(answer.status, 504, "{case}");
                assert!(
                    status == 200 || code(&answer) == code_expected,
                    "{case}: {}",
                    answer.text()
                );
            }
        }
    }
}

/// Everything but the last bytes may be written, or handed over for writing,
/// when the time of a caller that does not read is over.
#[test]
fn an_old_caller_that_reads_too_late_never_takes_a_part_for_the_whole() {
    const COARSE: usize = 30_000;
    const FINE: usize = 800;
    let server = Scripted::start(|head, stream| {
        let size = head.split(['=', ' ']).nth(2).unwrap().parse().unwrap();
        let stream = stream.get_mut();
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        let _ = stream
            .write_all(head)
            .and_then(|()| stream.write_all(&vec![b'x'; size]));
        false
    });
    let running = Setup::default()
        .server(server.url())
        .set("DQE_CARRIAGE", "header")
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "500ms")
        .set("LISTENER_IDLE_TIMEOUT", "500ms")
        .start();
    running.wait_until_ready();
    // First where the buffers below end, then what is around that. On a busy machine
    // an answer may be cut that would have found room: then the end is further up.
    let (whole, _) = read_too_late(&running, (1..=30).map(|steps| steps * COARSE));
    let mut around = whole.saturating_sub(COARSE / 2);
    loop {
        let (whole, cut) = read_too_late(&running, (0..80).map(|steps| around + steps * FINE));
        if whole > 0 && cut > 0 {
            break;
        }
        assert!(around < 40 * COARSE, "all of them are whole, or none is");
        around += if whole > 0 { 80 * FINE } else { 0 };
    }
}

/// Calls for answers of these sizes, which are read when their time is over;
/// returns the largest that came whole, and how many did not.
fn read_too_late(running: &Running, sizes: impl Iterator<Item = usize>) -> (usize, usize) {
    let callers: Vec<_> = sizes
        .map(|size| {
            // With the buffers of usual ones they would take the memory of the whole system's
            // connections, and break those of other stories.
            let mut caller = Connection::open_narrow_both_ways(running.address);
            caller.send(format!("GET /RNVP/?n={size} HTTP/1.0\r\n\r\n"));
            (size, caller)
        })
        .collect();
    let line = "dqe_proxy_caller_connections ";
    eventually("those that read too late are given up", || {
        running.metric(line).is_some_and(|open| open <= 1.0)
    });
    let (mut largest, mut cut) = (0, 0);
    for (size, mut caller) in callers {
        match caller.try_answer(false) {
            // The server may take its time between head and body, on a busy machine: then
            // the caller is told so.
            Some(answer) if answer.complete && answer.status == 200 => {
                assert_eq!(answer.body.len(), size, "a part with a clean end");
                largest = largest.max(size);
            }
            Some(_) | None => cut += 1,
        }
    }
    (largest, cut)
}
