//! A token that DQE takes for dead and says so in an ordinary-looking answer
//! with status 200: told from honest answers, replaced, the call replayed.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dqe_proxy::sandbox::Scope;

use crate::support::{Connection, Running, Scripted, Setup, call, eventually};

const FOUND: &str = "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA";
const NOT_FOUND: &str = "/SINGLEV2/?Adresse=zzzzzz&Pays=FRA";

fn replays(running: &Running, route: &str) -> f64 {
    let line = format!("dqe_proxy_replays_total{{route=\"{route}\"}}");
    running.metric(&line).unwrap_or_default()
}

/// Calls to the token endpoint for one scope.
fn token_calls(running: &Running, scope: Scope) -> usize {
    let journal = running.dqe.sandbox.journal();
    let of_scope = journal
        .iter()
        .filter(|entry| entry.token_endpoint && entry.scope == Some(scope));
    of_scope.count()
}

#[test]
fn a_refusal_that_is_certain_is_replaced_by_the_good_answer_with_one_renewal_and_one_replay() {
    for (target, scope, expected) in [
        ("/TEL/?Tel=0612345678&Pays=FRA", Scope::Phone, "MOBILE"),
        (
            "/TEL/?Tel=0612345678&callback=cb&_=1",
            Scope::Phone,
            "MOBILE",
        ),
        (
            "/DQEEMAILLOOKUP/?Email=jean.dupont@gmail.com",
            Scope::Email,
            "jean.dupont@gmail.com",
        ),
        (
            "/DQEEMAILLOOKUP/?Email=jean.dupont@gmail.com&callback=jQuery1_2",
            Scope::Email,
            "jean.dupont@gmail.com",
        ),
        (
            "/v1/single/?Address=5%20rue%20des%20pyr&Country=FRA",
            Scope::Address,
            "PYRENEES",
        ),
    ] {
        for chunked in ["off", "on"] {
            let running = Setup::default()
                .switch("classic-refusal=200")
                .switch(&format!("chunked={chunked}"))
                .start();
            running.wait_until_ready();
            running.dqe.sandbox.revoke(scope);
            let answer = running.get(target);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            assert!(
                answer.text().contains(expected),
                "{target}: {}",
                answer.text()
            );
            assert_eq!(running.received().len(), 2, "{target}");
            assert_eq!(running.counters().tokens_issued(scope), 2, "{target}");
        }
    }
}

#[test]
fn a_post_refused_in_its_body_is_replayed_with_the_new_token_in_its_form() {
    let running = Setup::default()
        .switch("classic-refusal=200")
        .set("DQE_CARRIAGE", "licence")
        .start();
    running.wait_until_ready();
    running.dqe.sandbox.revoke(Scope::Phone);
    let body = "Licence=OURS&Tel=0612345678";
    let request = format!(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    let answer = call(running.address, request);
    assert!(answer.text().contains("MOBILE"), "{}", answer.text());
    let received = running.received();
    assert_eq!(received.len(), 2);
    assert_ne!(received[0].body, received[1].body);
}

#[test]
fn a_refusal_of_the_new_token_too_is_no_answer_of_dqes_for_the_caller() {
    let refused = r#"{"1":{"IdError":"** LICENCE KO **","eMail":""}}"#;
    let scripted = Scripted::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{refused}",
        refused.len()
    ));
    let running = Setup::default()
        .server(scripted.url())
        .set("DQE_ENABLE", "GDPR_MSG")
        .start();
    running.wait_until_ready();
    for (target, attempts) in [
        ("/DQEEMAILLOOKUP/?Email=a@b.fr", 2),
        // What acts is not sent again, whatever the answer.
        ("/GDPR_MSG/?Phone=0612345678", 1),
    ] {
        let before = scripted.heads().len();
        let answer = running.get(target);
        let problem = answer.json();
        assert_eq!(answer.status, 502, "{target}");
        assert_eq!(problem["code"], "credential_rejected", "{target}");
        assert_eq!(scripted.heads().len() - before, attempts, "{target}");
    }
}

/// The families whose refusal looks like an honest empty answer.
const SILENT: &[(&str, Scope, &str)] = &[
    (FOUND, Scope::Address, "PYRENEES"),
    (
        "/LATLG/?IDVoie=751207837&Num=5&Pays=FRA",
        Scope::Address,
        "48.",
    ),
    ("/FIRSTNAMESUGGEST/?Firstname=ali", Scope::Civility, "ALI"),
    (
        "/FIRSTNAMESUGGEST/?Firstname=ali&callback=cb",
        Scope::Civility,
        "ALI",
    ),
    (
        "/MAILSUGGEST/?Nom=doe&Prenom=john&Email=j",
        Scope::Email,
        "suggest",
    ),
    (
        "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y",
        Scope::B2b,
        "BOULANGERIE",
    ),
];

#[test]
fn an_empty_answer_counts_when_the_token_is_past_its_renewal_point() {
    let threads: Vec<_> = SILENT
        .iter()
        .map(|(target, scope, expected)| {
            std::thread::spawn(move || {
                let running = Setup::default()
                    .switch("classic-refusal=200")
                    .token_life(Duration::from_secs(10))
                    .start();
                running.wait_until_ready();
                // The renewal that comes at half of the life takes its time.
                running
                    .dqe
                    .sandbox
                    .set_switch("token-latency", "200ms")
                    .unwrap();
                let before = token_calls(&running, *scope);
                eventually("a renewal is under way", || {
                    token_calls(&running, *scope) > before
                });
                running.dqe.sandbox.revoke(*scope);
                let answer = running.get(target);
                assert_eq!(answer.status, 200, "{target}");
                assert!(
                    answer.text().contains(expected),
                    "{target}: {}",
                    answer.text()
                );
                assert_eq!(running.received().len(), 2, "{target}");
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_empty_answer_is_delivered_while_nothing_speaks_against_a_fresh_token() {
    let running = Running::start();
    running.wait_until_ready();
    for _ in 0..15 {
        let answer = running.get(NOT_FOUND);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    assert_eq!(running.received().len(), 15);
    assert_eq!(running.counters().tokens_issued(Scope::Address), 1);
}

#[test]
fn twenty_empty_answers_in_a_row_cause_one_renewal_and_no_replay() {
    let running = Setup::default()
        .switch("classic-refusal=200")
        .set("LISTENER_THREADS", "1")
        .start();
    running.wait_until_ready();
    running.dqe.sandbox.revoke(Scope::Address);
    let issued = || running.counters().tokens_issued(Scope::Address);
    for number in 1..=20 {
        assert_eq!(issued(), 1, "before call {number}");
        assert_eq!(running.get(FOUND).text(), "{}", "call {number}");
    }
    eventually("the token is renewed", || issued() == 2);
    eventually("calls are answered again", || {
        running.get(FOUND).text() != "{}"
    });
    for _ in 0..50 {
        assert_eq!(running.get(NOT_FOUND).text(), "{}");
    }
    assert_eq!(issued(), 2, "at most once a minute");
    assert_eq!(replays(&running, "/SINGLEV2/"), 0.0);
}

#[test]
fn honest_empty_answers_at_load_are_hardly_ever_replayed() {
    let running = Setup::default().token_life(Duration::from_secs(12)).start();
    running.wait_until_ready();
    let issued = || running.counters().tokens_issued(Scope::Address);
    let before = issued();
    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (stop, calls, address) = (Arc::clone(&stop), Arc::clone(&calls), running.address);
            std::thread::spawn(move || {
                let mut connection = Connection::open(address);
                while !stop.load(Ordering::Relaxed) {
                    // An answer that finds something ends the row.
                    for target in std::iter::repeat_n(NOT_FOUND, 15).chain([FOUND]) {
                        connection.send_get(target);
                        assert_eq!(connection.answer().status, 200);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    eventually("enough calls over a renewal", || {
        calls.load(Ordering::Relaxed) >= 8_000 && issued() > before
    });
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    let calls = calls.load(Ordering::Relaxed) as f64;
    let replays = replays(&running, "/SINGLEV2/");
    assert!(replays <= calls / 1000.0, "{replays} of {calls}");
    assert_eq!(issued(), before + 1, "only the renewal that was due");
}

#[test]
fn an_empty_answer_takes_no_token_out_of_use_while_the_token_endpoint_is_down() {
    let running = Setup::default().token_life(Duration::from_secs(6)).start();
    running.wait_until_ready();
    running.dqe.sandbox.set_fault("token:status=503").unwrap();
    let before = token_calls(&running, Scope::Address);
    eventually("a renewal has failed", || {
        token_calls(&running, Scope::Address) > before
    });
    for _ in 0..5 {
        let empty = running.get(NOT_FOUND);
        assert_eq!((empty.status, empty.text().as_str()), (200, "{}"));
        assert_eq!(running.get(FOUND).status, 200);
    }
    assert_eq!(replays(&running, "/SINGLEV2/"), 0.0);
}

#[test]
fn a_large_answer_is_passed_on_from_its_first_piece() {
    let scripted = Scripted::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        let begun = format!("{head}{{\"1\":{{\"Instance\":\"0\",\n");
        let _ = stream.get_mut().write_all(begun.as_bytes());
        // Nothing more comes, and yet the caller has what there was.
        std::thread::park_timeout(Duration::from_secs(10));
        false
    });
    let running = Setup::default().server(scripted.url()).start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    connection.send_get(FOUND);
    while !connection.raw_line().unwrap().contains("Instance") {}
}
