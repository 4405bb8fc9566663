//! The server breaks at every byte, of its answer and of the request it reads,
//! in every way, for every kind of caller. Whatever happens, a caller has the
//! whole right answer, or an error, or an answer that shows that it is cut; no
//! POST reaches the server twice; nobody gets bytes of another's answer.

mod requests;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Answer, Connection, Running, Setup};
use server::{Fault, Framed, Leaves, Seen, Server};

/// Who calls, and how it knows where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    KeepingHttp11,
    ClosingHttp11,
    Http10,
}

const SPEAKERS: [Speaks; 3] = [Speaks::KeepingHttp11, Speaks::ClosingHttp11, Speaks::Http10];
const FRAMINGS: [Framed; 3] = [Framed::ByLength, Framed::InChunks, Framed::ByClose];

#[derive(Clone, Copy, Debug)]
struct Case {
    method: &'static str,
    speaks: Speaks,
    framed: Framed,
    fault: Fault,
}

fn cases(leaves: &[Leaves]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &leaves in leaves {
        for framed in FRAMINGS {
            // Numbers have six digits, so that every answer is as long.
            let (bytes, _) = server::answer(100_000, framed);
            // Whoever goes after a whole answer is not at fault until the next call.
            let most = bytes.len() - usize::from(framed != Framed::ByClose);
            for after in 0..=most {
                for speaks in SPEAKERS {
                    // Each stall takes its time: one method per byte is enough of them.
                    let methods = if leaves == Leaves::Stalls {
                        &[["GET", "POST"][after % 2]][..]
                    } else {
                        &["GET", "POST"]
                    };
                    for &method in methods {
                        let fault = Fault { leaves, after };
                        cases.push(Case {
                            method,
                            speaks,
                            framed,
                            fault,
                        });
                    }
                }
            }
        }
    }
    cases
}

/// A request for call `number`.
fn request(method: &str, speaks: Speaks, framed: Framed, number: usize) -> String {
    let framed = match framed {
        Framed::ByLength => "length",
        Framed::InChunks => "chunks",
        Framed::ByClose => "close",
    };
    let (version, fields) = match speaks {
        Speaks::KeepingHttp11 => ("1.1", ""),
        Speaks::ClosingHttp11 => ("1.1", "Connection: close\r\n"),
        Speaks::Http10 => ("1.0", ""),
    };
    let body = if method == "POST" {
        "Tel=0612345678"
    } else {
        ""
    };
    let length = if method == "POST" {
        "Content-Type: application/octet-stream\r\nContent-Length: 14\r\n"
    } else {
        ""
    };
    format!(
        "{method} /RNVP/?n={number}&m={framed} HTTP/{version}\r\nHost: x\r\n{fields}{length}\r\n{body}"
    )
}

/// A proxy with one pool in front of `server`, its tokens there.
fn proxy(server: &Server, settings: &[(&str, &str)]) -> Running {
    let mut setup = Setup::default()
        .server(server.url())
        .set("LISTENER_THREADS", "1")
        .set("DQE_CARRIAGE", "header");
    for (name, value) in settings {
        setup = setup.set(name, value);
    }
    let running = setup.start();
    running.wait_until_ready();
    running
}

/// What a case amounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Whole,
    Refused,
    Cut,
    /// Cut where only the end of the connection tells the end, and it came in order.
    Unknowable,
}

/// Judges what the caller got; the error is what is wrong with it.
fn judge(
    case: &Case,
    number: usize,
    answer: Option<&Answer>,
    seen: &[Seen],
) -> Result<Outcome, String> {
    let (bytes, head) = server::answer(number, case.framed);
    let Fault { leaves, after } = case.fault;
    let Some(answer) = answer else {
        return Err("no answer at all".to_owned());
    };
    let body = server::body(number);
    if case.speaks == Speaks::Http10 && answer.field("transfer-encoding").is_some() {
        return Err("a coding for an HTTP/1.0 caller".to_owned());
    }
    let repeats = seen.len();
    let may_repeat = case.method == "GET" && after == 0 && leaves != Leaves::Stalls;
    match (repeats, seen.first()) {
        (1, Some(first)) if !(may_repeat && first.reused) => {}
        (2, Some(first)) if may_repeat && first.reused => {}
        _ => return Err(format!("the server got it {repeats} times: {seen:?}")),
    }
    if answer.status != 200 {
        let code = answer.json()["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let expected = match leaves {
            Leaves::Stalls => (504, "answer_timeout"),
            Leaves::Reset => (502, "upstream_broken"),
            Leaves::Closes | Leaves::HalfCloses if after == 0 => (502, "upstream_broken"),
            Leaves::Closes | Leaves::HalfCloses => (502, "upstream_invalid"),
        };
        if (answer.status, &*code) != expected || !answer.complete {
            return Err(format!("not {expected:?}"));
        }
        // The beginning of a body is held back until it tells whether the token is dead.
        let is_held = leaves == Leaves::Stalls && after < bytes.len();
        return if after < head || is_held {
            Ok(Outcome::Refused)
        } else {
            Err("its head was whole".to_owned())
        };
    }
    if after < head {
        return Err("there was no whole head".to_owned());
    }
    let is_whole = answer.body == body;
    match (answer.complete, is_whole) {
        (true, true) if after == bytes.len() || case.framed == Framed::ByLength => {
            if case.framed == Framed::ByClose && matches!(leaves, Leaves::Reset | Leaves::Stalls) {
                return Err("nobody can know that this is whole".to_owned());
            }
            Ok(Outcome::Whole)
        }
        (true, _)
            if case.framed == Framed::ByClose
                && matches!(leaves, Leaves::Closes | Leaves::HalfCloses) =>
        {
            if body.starts_with(&answer.body) {
                Ok(Outcome::Unknowable)
            } else {
                Err("other bytes than the server's".to_owned())
            }
        }
        (true, _) => Err("a cut answer with a clean end".to_owned()),
        (false, _) if !body.starts_with(&answer.body) => {
            Err("other bytes than the server's".to_owned())
        }
        (false, _) if after == bytes.len() && case.framed != Framed::ByClose => {
            Err("the server's answer was whole".to_owned())
        }
        (false, _) => Ok(Outcome::Cut),
    }
}

fn shown(answer: Option<&Answer>) -> String {
    answer.map_or("nothing".to_owned(), |answer| {
        let whole = if answer.complete { "whole" } else { "cut" };
        format!("{} {whole} {}", answer.status, answer.text())
    })
}

/// Carries out `case` as call `number`, and then two calls of others that are
/// to have answers of their own: on the same connection, where it is kept, and
/// on another.
fn carry_out(
    case: &Case,
    number: usize,
    server: &Server,
    address: SocketAddr,
) -> Result<Outcome, String> {
    server.agrees(number, case.fault);
    let mut caller = Connection::open(address);
    caller.send(request(case.method, case.speaks, case.framed, number));
    let answer = caller.try_answer(false);
    let outcome = judge(case, number, answer.as_ref(), &server.seen(number))
        .map_err(|why| format!("{why}: {}", shown(answer.as_ref())))?;
    let is_kept = case.speaks == Speaks::KeepingHttp11
        && outcome != Outcome::Cut
        && answer.is_some_and(|answer| answer.field("connection").is_none());
    let next = number + 1;
    if is_kept {
        caller.send(request(
            "GET",
            Speaks::KeepingHttp11,
            Framed::ByLength,
            next,
        ));
    } else {
        if outcome != Outcome::Cut && !caller.is_at_end() {
            return Err("something follows the answer".to_owned());
        }
        caller = Connection::open(address);
        // Every other connection to the server is not kept, so that cases begin on new ones too.
        let framed = if number & 2 == 0 {
            Framed::ByClose
        } else {
            Framed::ByLength
        };
        caller.send(request("POST", Speaks::ClosingHttp11, framed, next));
    }
    match caller.try_answer(false) {
        Some(answer)
            if answer.status == 200 && answer.complete && answer.body == server::body(next) =>
        {
            Ok(outcome)
        }
        other => Err(format!(
            "the next call (kept: {is_kept}) got {}",
            shown(other.as_ref())
        )),
    }
}

/// Carries out all of them, `callers` at a time, and counts what came of them.
#[allow(clippy::print_stdout, reason = "the count is for a reader")]
fn carry_out_all(cases: &[Case], callers: usize, server: &Server, address: SocketAddr) {
    let next = AtomicUsize::new(0);
    let (wrong, outcomes) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else {
                        return;
                    };
                    match carry_out(case, 100_000 + 2 * index, server, address) {
                        Ok(outcome) => {
                            let reused = server.seen(100_000 + 2 * index)[0].reused;
                            *outcomes
                                .lock()
                                .unwrap()
                                .entry((outcome, reused))
                                .or_insert(0) += 1;
                        }
                        Err(why) => wrong.lock().unwrap().push(format!("{case:?}: {why}")),
                    }
                }
            });
        }
    });
    let (wrong, outcomes) = (wrong.into_inner().unwrap(), outcomes.into_inner().unwrap());
    println!(
        "{} cases; by outcome and whether the connection was a kept one: {outcomes:?}",
        cases.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong, among them: {:#?}",
        wrong.len(),
        cases.len(),
        &wrong[..wrong.len().min(12)]
    );
    // A run of one kind only shows little.
    for outcome in [Outcome::Refused, Outcome::Cut] {
        for reused in [false, true] {
            assert!(
                outcomes.contains_key(&(outcome, reused)),
                "{outcome:?} {reused}"
            );
        }
    }
}

#[test]
fn an_answer_that_ends_at_any_byte_is_whole_or_an_error_or_visibly_cut() {
    let server = Server::start();
    let running = proxy(&server, &[]);
    let cases = cases(&[Leaves::Reset, Leaves::Closes, Leaves::HalfCloses]);
    carry_out_all(&cases, 4, &server, running.address);
}

#[test]
fn an_answer_that_stalls_at_any_byte_is_an_error_or_visibly_cut() {
    let server = Server::start();
    let running = proxy(
        &server,
        &[
            ("UPSTREAM_FIRST_BYTE_TIMEOUT", "1s"),
            ("UPSTREAM_BODY_IDLE_TIMEOUT", "1s"),
        ],
    );
    carry_out_all(&cases(&[Leaves::Stalls]), 64, &server, running.address);
}
