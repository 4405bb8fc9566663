//! The traps other token proxies fall into, each shut by a test of its name.
//!
//! | trap | test |
//! |---|---|
//! | an expired token still served | `an_expired_token_is_not_still_served` |
//! | permanent latch-off after one odd 200 | `one_odd_200_does_not_latch_off` |
//! | the renewal task ending | cannot be provoked from outside: `token::stories::renewing::a_renewal_task_that_ended_is_taken_over_by_the_next` |
//! | the token reply's body in an error log | `the_token_replys_body_is_in_no_log` |
//! | a lock held across the token call | `no_lock_is_held_across_the_token_call` |
//! | waiters giving up together | `waiters_do_not_give_up_together` |
//! | a fixed margin ≥ the life | `a_short_life_is_not_a_token_call_per_request` |
//! | a missing `expires_in` meaning immortal | `a_missing_expires_in_is_not_immortal` |
//! | scope absent from the cache key | `a_token_of_one_scope_is_not_used_for_another` |
//! | header added instead of replaced | `the_header_is_replaced_and_not_added` |
//! | an empty 200 on token failure | `a_token_failure_is_not_an_empty_200` |
//! | failing open without a token | `without_a_token_nothing_is_forwarded` |
//! | an unbounded replay buffer | `the_replay_buffer_is_bounded` |
//! | the first 401's body not drained before the replay | `the_first_401s_body_is_not_the_replays_answer` |
//! | upstream work outliving its caller | `upstream_work_does_not_outlive_its_caller` |
//! | a token client without the egress proxy's settings | `the_token_client_takes_the_same_way_out_as_the_calls` |
//! | a non-UTF-8 header dropping all headers | `a_non_utf_8_header_drops_no_header` |
//! | string `expires_in` read as one hour | `a_string_expires_in_is_not_read_as_an_hour` |
//! | start-up that exits when the token server is down | `start_up_does_not_exit_when_the_token_server_is_down` |
//! | the caller's Authorization winning | `the_callers_authorization_does_not_win` |
//! | token redirect followed to another host | `a_token_redirect_is_not_followed_to_another_host` |
//! | the cap on the token reply applied only after reading it all | `the_cap_on_the_token_reply_applies_while_it_is_read` |

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dqe_proxy::sandbox::{Scope, Violation};

use crate::support::{
    Connection, Process, Running, Scripted, Setup, Stopwatch, TokenEndpoint, call, eventually,
};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";

/// With one scope, so that each token request is about it.
fn phone_only() -> Setup {
    Setup::default().set("DQE_SCOPES", "client_phone")
}

/// How often the first fault has struck.
fn hits(running: &Running) -> u64 {
    let faults = running.dqe.sandbox.faults();
    faults.first().map_or(0, |fault| fault.hits)
}

/// One call for each of `count` callers at once; their statuses and the longest wait.
fn together(running: &Running, count: usize) -> (Vec<u16>, Duration) {
    let watch = Stopwatch::start();
    let mut callers: Vec<_> = (0..count)
        .map(|_| {
            let mut caller = Connection::open(running.address);
            caller.send_get(CALL);
            caller
        })
        .collect();
    let statuses = callers.iter_mut().map(|caller| caller.answer().status);
    (statuses.collect(), watch.elapsed())
}

/// The program itself in front of `server`, and the folder with all it writes.
fn program(
    server: &TokenEndpoint,
    variables: &[(&str, &str)],
) -> (std::net::SocketAddr, Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let given = [
        ("DQE_SERVER", server.url()),
        ("DQE_LICENCE", "X"),
        ("DQE_CLIENT_SECRET", "hunter2"),
        ("DQE_PROXY_DQE_SCOPES", "client_phone"),
        ("DQE_PROXY_TOKEN_WAIT", "1s"),
    ];
    let variables = [&given[..], variables].concat();
    let out = std::fs::File::create(folder.path().join("out")).unwrap();
    let process = Process::start_with(folder.path(), &["run"], &variables, out.into());
    (process.listener(), process, folder)
}

/// Drains the program, so that nothing it logged is lost; all it wrote.
fn end(mut process: Process, folder: &tempfile::TempDir) -> String {
    process.signal(&["TERM"]);
    process.ends();
    process.said() + &std::fs::read_to_string(folder.path().join("out")).unwrap()
}

#[test]
fn an_expired_token_is_not_still_served() {
    let running = phone_only().token_life(Duration::from_secs(2)).start();
    assert_eq!(running.get(CALL).status, 200);
    running.dqe.sandbox.set_fault("token:status=503").unwrap();
    eventually("the token has expired", || running.get(CALL).status == 503);
    let before = running.received().len();
    assert_eq!(running.get(CALL).status, 503);
    assert_eq!(running.received().len(), before);
    assert_eq!(running.counters().violation(Violation::ExpiredToken), 0);
}

#[test]
fn one_odd_200_does_not_latch_off() {
    for odd in ["empty-200", "html-200", "truncated-json"] {
        let running = phone_only().fault(&format!("token:{odd},times=1")).start();
        eventually("calls work", || running.get(CALL).status == 200);
        assert_eq!(hits(&running), 1, "{odd}");
    }
}

#[test]
fn the_token_replys_body_is_in_no_log() {
    for reply in [
        r#"{"access_token":"leaked-value","expires_in":{}}"#,
        r#"{"refresh_token":"leaked-value","error":"leaked-value"}"#,
        "<html>leaked-value",
    ] {
        let server = TokenEndpoint::saying(reply);
        let (address, process, folder) = program(&server, &[]);
        let answer = crate::support::get(address, CALL);
        let written = end(process, &folder);
        assert!(server.token_requests() > 0);
        assert!(written.contains("client_phone"), "it logs: {written}");
        assert!(!written.contains("leaked-value"), "{written}");
        assert!(!answer.text().contains("leaked-value"));
    }
}

#[test]
fn no_lock_is_held_across_the_token_call() {
    let running = phone_only().token_life(Duration::from_secs(4)).start();
    assert_eq!(running.get(CALL).status, 200);
    running.dqe.sandbox.set_fault("token:hang").unwrap();
    eventually("a token call hangs", || hits(&running) > 0);
    let (statuses, longest) = together(&running, 16);
    assert_eq!(statuses, [200; 16]);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn waiters_do_not_give_up_together() {
    let running = phone_only()
        .token_life(Duration::from_secs(30))
        .set("TOKEN_WAIT", "10s")
        .start();
    assert_eq!(running.get(CALL).status, 200);
    running
        .dqe
        .sandbox
        .set_fault("token:status=500,times=1")
        .unwrap();
    running.dqe.sandbox.revoke(Scope::Phone);
    let (statuses, _) = together(&running, 16);
    assert_eq!(statuses, [200; 16]);
    assert_eq!(hits(&running), 1);
    assert_eq!(running.counters().tokens_issued(Scope::Phone), 2);
}

#[test]
fn a_short_life_is_not_a_token_call_per_request() {
    let running = phone_only().token_life(Duration::from_secs(2)).start();
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(running.get(CALL).status, 200);
    }
    let lives = begun.elapsed().as_secs_f64() / 2.0;
    let issued = running.counters().tokens_issued(Scope::Phone);
    assert!((issued as f64) <= 2.0 + 2.5 * lives, "{issued} in {lives}");
}

#[test]
fn a_missing_expires_in_is_not_immortal() {
    let server = TokenEndpoint::saying(r#"{"access_token":"TK","token_type":"Bearer"}"#);
    let running = phone_only().server(server.url()).start();
    assert_eq!(running.get(CALL).status, 200);
    let left = running.metric("dqe_proxy_token_seconds_to_expiry{scope=\"client_phone\"}");
    assert!(
        left.is_some_and(|left| left > 0.0 && left <= 300.0),
        "{left:?}"
    );
}

#[test]
fn a_token_of_one_scope_is_not_used_for_another() {
    let running = Running::start();
    for (target, scope) in [
        (CALL, Scope::Phone),
        (
            "/RECSIRET/?CompanyName=x&Country=FRA&Dictionary=Y",
            Scope::B2b,
        ),
        (CALL, Scope::Phone),
    ] {
        assert_eq!(running.get(target).status, 200);
        assert_eq!(running.last_received().credentials[0].scope, Some(scope));
    }
    assert_eq!(running.counters().violations(), 0);
}

fn received_for(fields: &[u8]) -> dqe_proxy::sandbox::Entry {
    let running = Running::start();
    running.wait_until_ready();
    let mut request =
        format!("GET {CALL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n").into_bytes();
    request.extend_from_slice(fields);
    request.extend_from_slice(b"\r\n");
    assert_eq!(call(running.address, request).status, 200);
    running.last_received()
}

#[test]
fn the_header_is_replaced_and_not_added() {
    let entry = received_for(b"Authorization: Bearer a\r\nauthorization: Basic b\r\n");
    assert_eq!(entry.header_values("authorization").len(), 1);
}

#[test]
fn a_token_failure_is_not_an_empty_200() {
    for fault in ["token:status=500", "token:empty-200"] {
        let running = phone_only().fault(fault).set("TOKEN_WAIT", "500ms").start();
        let answer = running.get(CALL);
        assert_eq!(answer.status, 503, "{fault}");
        assert_eq!(answer.json()["code"], "token_unavailable", "{fault}");
    }
}

#[test]
fn without_a_token_nothing_is_forwarded() {
    let running = phone_only()
        .fault("token:refuse-scope=client_phone")
        .set("TOKEN_WAIT", "500ms")
        .start();
    for _ in 0..5 {
        assert_eq!(running.get(CALL).status, 503);
    }
    assert!(running.received().is_empty());
}

#[test]
fn the_replay_buffer_is_bounded() {
    for (size, status, received) in [(60_000, 200, 2), (70_000, 502, 1)] {
        let running = phone_only().fault("business:unauthorized,times=1").start();
        let body = format!("{{\"x\":\"{}\"}}", "y".repeat(size));
        let head = "POST /TEL/?Tel=0612345678&Pays=FRA HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(call(running.address, request).status, status, "{size}");
        assert_eq!(running.received().len(), received, "{size}");
    }
}

#[test]
fn the_first_401s_body_is_not_the_replays_answer() {
    let refused = AtomicBool::new(false);
    let scripted = Scripted::start(move |_, stream| {
        let answer = if refused.swap(true, Ordering::Relaxed) {
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"
        } else {
            // What is left of it looks like an answer.
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 43\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
        };
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let running = phone_only().server(scripted.url()).start();
    let answer = running.get(CALL);
    assert_eq!((answer.status, answer.text().as_str()), (200, "right"));
    assert_eq!(scripted.heads().len(), 2);
}

#[test]
fn upstream_work_does_not_outlive_its_caller() {
    let running = phone_only().fault("business:hang").start();
    let mut caller = Connection::open(running.address);
    caller.send_get(CALL);
    eventually("DQE has the call", || !running.received().is_empty());
    drop(caller);
    eventually("it is abandoned", || running.last_received().abandoned);
}

/// There is one way out, built once, and no proxy of the environment is on it.
#[test]
fn the_token_client_takes_the_same_way_out_as_the_calls() {
    let server = TokenEndpoint::saying(r#"{"access_token":"TK","expires_in":300}"#);
    let elsewhere = TokenEndpoint::saying(r#"{"access_token":"no","expires_in":300}"#);
    let (url, upper) = (
        ("http_proxy", elsewhere.url()),
        ("HTTP_PROXY", elsewhere.url()),
    );
    let (address, process, folder) =
        program(&server, &[url, upper, ("ALL_PROXY", elsewhere.url())]);
    let answer = crate::support::get(address, CALL);
    let written = end(process, &folder);
    assert_eq!(answer.status, 200, "{written}");
    assert_eq!((server.token_requests(), server.calls()), (1, 1));
    assert_eq!((elsewhere.token_requests(), elsewhere.calls()), (0, 0));
}

#[test]
fn a_non_utf_8_header_drops_no_header() {
    let entry = received_for(b"X-Before: 1\r\nX-Odd: caf\xe9\xff\r\nX-After: 2\r\n");
    assert_eq!(entry.header_values("x-before"), [b"1"]);
    assert_eq!(entry.header_values("x-odd"), [b"caf\xe9\xff"]);
    assert_eq!(entry.header_values("x-after"), [b"2"]);
    assert_eq!(entry.header_values("authorization").len(), 1);
}

#[test]
fn a_string_expires_in_is_not_read_as_an_hour() {
    let server = TokenEndpoint::saying(r#"{"access_token":"TK","expires_in":"2"}"#);
    let running = phone_only().server(server.url()).start();
    assert_eq!(running.get(CALL).status, 200);
    let left = running.metric("dqe_proxy_token_seconds_to_expiry{scope=\"client_phone\"}");
    assert!(left.is_some_and(|left| left <= 2.0), "{left:?}");
    eventually("it is renewed", || server.token_requests() >= 2);
}

#[test]
fn start_up_does_not_exit_when_the_token_server_is_down() {
    let running = phone_only().start_with_dqe_down();
    assert_eq!(running.get(CALL).status, 503);
    assert_eq!(running.admin_get("/livez").status, 200);
    assert!(running.ends_within(Duration::ZERO).is_none());
    running.dqe.resume();
    eventually("calls work", || running.get(CALL).status == 200);
}

#[test]
fn the_callers_authorization_does_not_win() {
    let entry = received_for(b"Authorization: Bearer theirs\r\n");
    assert!(entry.generation().is_some(), "the token is a live one");
    let sent = entry.header_values("authorization");
    assert!(!sent.contains(&&b"Bearer theirs"[..]));
}

#[test]
fn a_token_redirect_is_not_followed_to_another_host() {
    let elsewhere = TokenEndpoint::saying(r#"{"access_token":"TK","expires_in":300}"#);
    let place = format!("{}/oauth/access_token/", elsewhere.url());
    let running = phone_only()
        .fault(&format!("token:redirect={place}"))
        .set("TOKEN_WAIT", "500ms")
        .start();
    assert_eq!(running.get(CALL).status, 503);
    assert!(hits(&running) > 0);
    assert_eq!((elsewhere.token_requests(), elsewhere.calls()), (0, 0));
}

#[test]
fn the_cap_on_the_token_reply_applies_while_it_is_read() {
    let (cut, most) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (ended, written) = (Arc::clone(&cut), Arc::clone(&most));
    let server = TokenEndpoint::start(move |stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
        let mut total = 0;
        if stream.write_all(head.as_bytes()).is_ok() {
            // No end of its own but one far beyond what sockets hold.
            while total < 256 << 20 && stream.write_all(chunk.as_bytes()).is_ok() {
                total += chunk.len();
            }
        }
        written.fetch_max(total, Ordering::Relaxed);
        ended.store(true, Ordering::Relaxed);
        let _ = stream.read(&mut [0]);
    });
    let running = phone_only()
        .server(server.url())
        .set("TOKEN_WAIT", "500ms")
        .start();
    assert_eq!(running.get(CALL).status, 503);
    eventually("the reply is cut", || cut.load(Ordering::Relaxed));
    let most = most.load(Ordering::Relaxed);
    assert!(most < 32 << 20, "{most} bytes");
}
