//! Tokens: renewed unseen, replaced when refused, missed without a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dqe_proxy::sandbox::Scope;

use crate::support::{
    Answer, Connection, Running, Setup, body_received, call, eventually, holds_within,
};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";

/// Steady load on kept connections for as long as `during` runs; returns
/// (calls, one status of each kind that was not 200).
fn load(running: &Running, callers: usize, during: impl FnOnce()) -> (usize, Vec<u16>) {
    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..callers)
        .map(|_| {
            let (stop, calls, address) = (Arc::clone(&stop), Arc::clone(&calls), running.address);
            std::thread::spawn(move || {
                let mut failed = Vec::new();
                let mut connection = Connection::open(address);
                while !stop.load(Ordering::Relaxed) {
                    connection.send_get(CALL);
                    let answer = connection.answer();
                    calls.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 {
                        failed.push(answer.status);
                    }
                }
                failed
            })
        })
        .collect();
    during();
    stop.store(true, Ordering::Relaxed);
    let mut failed: Vec<u16> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    failed.sort_unstable();
    failed.dedup();
    (calls.load(Ordering::Relaxed), failed)
}

#[test]
fn renewals_are_invisible_under_load() {
    let running = Setup::default().token_life(Duration::from_secs(2)).start();
    running.wait_until_ready();
    let issued = || running.counters().tokens_issued(Scope::Phone);
    let (before, begun) = (issued(), Instant::now());
    let (calls, failed) = load(&running, 8, || {
        eventually("five renewals have happened", || issued() >= before + 5);
    });
    assert!(calls > 500, "{calls} calls");
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(running.counters().violations(), 0);
    let lives = begun.elapsed().as_secs_f64() / 2.0;
    let per_life = (issued() - before) as f64 / lives;
    assert!(per_life <= 2.5, "{per_life} token calls per life");
}

#[test]
fn a_revoked_token_is_replaced_and_the_calls_replayed_unseen() {
    // The least gap between forced renewals is a tenth of a life: 1 s here.
    let running = Setup::default().token_life(Duration::from_secs(10)).start();
    running.wait_until_ready();
    let (calls, failed) = load(&running, 8, || {
        for _ in 0..3 {
            let generation = || {
                running
                    .received()
                    .last()
                    .and_then(|entry| entry.generation())
            };
            eventually("calls go on", || generation().is_some());
            running.dqe.sandbox.revoke(Scope::Phone);
            let seen = running.received().last().map_or(0, |entry| entry.sequence);
            eventually("calls succeed with a newer token", || {
                let journal = running.dqe.sandbox.journal_after(seen);
                journal
                    .iter()
                    .any(|entry| entry.status == Some(200) && !entry.token_endpoint)
            });
            assert!(
                !holds_within(Duration::from_millis(2_500), || false),
                "the next revocation comes after the gap"
            );
        }
    });
    assert!(calls > 100);
    assert!(failed.is_empty(), "{failed:?}");
    let forced = running.metric("dqe_proxy_token_forced_renewals_total{scope=\"client_phone\"}");
    assert!(
        forced <= Some(3.0),
        "one renewal per revocation: {forced:?}"
    );
    eventually("replays are counted", || {
        running
            .metric("dqe_proxy_replays_total{route=\"/TEL/\"}")
            .is_some_and(|replays| replays >= 3.0)
    });
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A body of `size` bytes and a few more, refused by DQE the first time.
fn post_refused_once(running: &Running, content_type: &str, size: usize) -> Answer {
    running.wait_until_ready();
    running
        .dqe
        .sandbox
        .set_fault("business:unauthorized,times=1")
        .unwrap();
    let body = format!("Tel=0612345678&Pays=FRA&x={}", "y".repeat(size));
    let head = format!(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
    );
    let length = body.len();
    call(
        running.address,
        format!("{head}Content-Length: {length}\r\n\r\n{body}"),
    )
}

#[test]
fn a_posted_body_is_sent_again_after_a_rejection() {
    let running = Running::start();
    let answer = post_refused_once(&running, FORM, 60_000);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = running.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body_length, received[1].body_length);
    assert_ne!(received[0].generation(), received[1].generation());
    for entry in &received {
        let end = format!("{}&Licence={{token}}", "y".repeat(100));
        assert!(
            body_received(entry).ends_with(&end),
            "each with its own token"
        );
    }
}

#[test]
fn a_body_too_large_to_keep_is_not_sent_again_but_a_newer_token_is_on_its_way() {
    let running = Running::start();
    let answer = post_refused_once(&running, "application/octet-stream", 70_000);
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (502, Some("credential_rejected"))
    );
    assert_eq!(answer.field("retry-after").as_deref(), Some("1"));
    assert_eq!(running.received().len(), 1);
    eventually("the token is renewed", || {
        running.counters().tokens_issued(Scope::Phone) == 2
    });
}

#[test]
fn a_path_with_side_effects_is_never_replayed() {
    let running = Setup::default().set("DQE_ENABLE", "GDPR_MSG").start();
    running.wait_until_ready();
    running
        .dqe
        .sandbox
        .set_fault("business:unauthorized,times=1")
        .unwrap();
    let answer = running.get("/GDPR_MSG/?Phone=0612345678&Custom_sms=x&Country=FRA&Company=ACME");
    assert_eq!(answer.status, 502);
    assert_eq!(running.received().len(), 1);
}

#[test]
fn without_a_token_endpoint_the_proxy_lives_says_why_and_recovers_within_a_second() {
    for (name, fault) in [
        ("refused", None),
        ("hanging", Some("token:hang")),
        ("503", Some("token:status=503")),
    ] {
        let running = match fault {
            None => Setup::default().start_with_dqe_down(),
            Some(fault) => Setup::default().fault(fault).start(),
        };
        let answer = running.get(CALL);
        assert_eq!(answer.status, 503, "{name}: {}", answer.text());
        assert_eq!(answer.json()["code"], "token_unavailable", "{name}");
        assert!(
            answer.field("retry-after").unwrap().parse::<u64>().unwrap() >= 1,
            "{name}"
        );
        assert_eq!(running.admin_get("/livez").status, 200, "{name}");
        assert_eq!(running.admin_get("/readyz").status, 503, "{name}");
        match fault {
            None => running.dqe.resume(),
            Some(_) => running.dqe.sandbox.clear_faults(),
        }
        assert!(
            holds_within(Duration::from_secs(1), || running.get(CALL).status == 200),
            "{name}: no recovery within a second"
        );
        assert_eq!(running.admin_get("/readyz").status, 200, "{name}");
    }
}

#[test]
fn one_refused_scope_leaves_the_others_working_and_falls_back_to_the_general_one() {
    let general = Setup::default()
        .fault("token:refuse-scope=client_b2b")
        .start();
    assert_eq!(general.get(CALL).status, 200);
    eventually("the refusal is known and the general token used", || {
        general
            .get("/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y")
            .status
            == 200
    });
    let scope = general.last_received().credentials[0]
        .scope
        .map(|scope| scope.to_string());
    assert_eq!(scope.as_deref(), Some("client_general"));

    let alone = Setup::default()
        .fault("token:refuse-scope=client_b2b")
        .set("DQE_SCOPES", "client_phone,client_b2b")
        .start();
    assert_eq!(alone.get(CALL).status, 200);
    let answer = alone.get("/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y");
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (503, Some("token_unavailable"))
    );
}

#[test]
fn a_wrong_secret_is_said_in_words_and_a_corrected_one_noticed_on_reload() {
    let running = Running::start();
    running.wait_until_ready();
    running.dqe.sandbox.rotate_secret("another");
    running.dqe.sandbox.revoke_all_tokens();
    let _ = running.get(CALL);
    eventually("the refusal is known", || {
        let answer = running.get(CALL);
        matches!(answer.status, 502 | 503)
    });
    std::fs::write(&running.secret_file, "another\n").unwrap();
    running.handle.reload();
    eventually("calls work again", || running.get(CALL).status == 200);
}
