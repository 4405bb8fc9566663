//! What happens to tokens: scenarios 1, 2 and 10 to 13.

use std::time::{Duration, Instant};

use dqe_proxy::sandbox::{Entry, Scope, Violation};

use super::{ADDRESS, PHONE, get, post};
use crate::support::{Answer, Running, Setup, Stopwatch, call, eventually, holds_within};

const COMPANY: &str = "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y";

/// A token ends between two calls: as announced; and without a word while its
/// successor is on its way.
fn a_token_ends_between_two_calls(scope: Scope, target: &str, word: &str) {
    let right = |answer: &Answer| answer.status == 200 && answer.text().contains(word);
    let announced = Setup::default().token_life(Duration::from_secs(1)).start();
    announced.wait_until_ready();
    assert!(right(&announced.get(target)));
    let issued = |running: &Running| running.counters().tokens_issued(scope);
    let first = announced.last_received().generation();
    let before = issued(&announced);
    // The third is there when the first is over.
    eventually("the token is over", || issued(&announced) >= before + 3);
    assert!(right(&announced.get(target)));
    assert_ne!(announced.last_received().generation(), first);
    assert_eq!(announced.counters().violations(), 0);

    let early = Setup::default()
        .switch("classic-refusal=200")
        .set("TOKEN_WAIT", "5s")
        .token_life(Duration::from_secs(20))
        .start();
    early.wait_until_ready();
    let sandbox = &early.dqe.sandbox;
    sandbox.set_switch("token-latency", "800ms").unwrap();
    let asked = || {
        let of_scope = |entry: &Entry| entry.token_endpoint && entry.scope == Some(scope);
        sandbox.journal().into_iter().filter(of_scope).count()
    };
    assert!(right(&early.get(target)));
    let before = asked();
    eventually("the renewal is under way", || asked() > before);
    sandbox.revoke(scope);
    assert!(right(&early.get(target)));
    let received = early.received();
    let generations: Vec<_> = received.iter().map(Entry::generation).collect();
    // None stands for a token that is not live.
    assert!(
        matches!(generations[..], [Some(_), None, Some(_)]),
        "{generations:?}"
    );
    assert_eq!(early.counters().violations(), 0);
}

/// Scenario 1.
#[test]
fn a_token_that_ends_between_two_calls_is_no_empty_answer_of_a_classic_path() {
    a_token_ends_between_two_calls(Scope::Address, ADDRESS, "PYRENEES");
}

/// Scenario 2.
#[test]
fn a_token_that_ends_between_two_calls_is_no_401_of_a_restful_path() {
    let target = "/v1/email/lookup?email=jean.dupont@gmail.com";
    a_token_ends_between_two_calls(Scope::Email, target, "jean.dupont@gmail.com");
}

/// Scenario 10.
#[test]
fn an_outage_of_the_token_endpoint_is_ridden_out_on_the_old_token_and_no_dead_one_is_sent() {
    let running = Setup::default().token_life(Duration::from_secs(3)).start();
    running.wait_until_ready();
    running.dqe.sandbox.set_fault("token:status=503").unwrap();
    let (begun, watch) = (Instant::now(), Stopwatch::start());
    loop {
        match running.get(PHONE).status {
            200 => {}
            503 => break,
            other => panic!("{other}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    let (good, owed) = (begun.elapsed(), watch.elapsed());
    // A token has at least 45 % of its life left at any moment of normal operation.
    assert!(good >= Duration::from_millis(1200), "{good:?}");
    assert!(owed <= Duration::from_millis(3100), "{owed:?}");
    assert_eq!(running.counters().violation(Violation::ExpiredToken), 0);
    running.dqe.sandbox.clear_faults();
    let works = || running.get(PHONE).status == 200;
    assert!(holds_within(Duration::from_secs(1), works), "not again");
}

/// Scenario 11.
#[test]
fn a_scope_that_is_refused_takes_no_other_one_along() {
    let running = Setup::default()
        .fault("token:refuse-scope=client_b2b")
        .token_life(Duration::from_secs(2))
        .set("DQE_SCOPES", "client_address,client_b2b")
        .start();
    let issued = || running.counters().tokens_issued(Scope::Address);
    while issued() < 3 {
        let answer = running.get(ADDRESS);
        assert!(answer.text().contains("PYRENEES"), "{}", answer.text());
        let refused = running.get(COMPANY);
        assert_eq!(refused.status, 503);
        assert_eq!(refused.json()["code"], "token_unavailable");
        assert!(
            refused.text().contains("not entitled"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(running.admin_get("/readyz").status, 200);
    assert!(
        running
            .admin_get("/readyz?verbose")
            .text()
            .contains("client_b2b")
    );
    assert_eq!(running.counters().tokens_issued(Scope::B2b), 0);
    assert_eq!(running.counters().violations(), 0);
}

/// Scenario 12.
#[test]
fn the_vendors_401_with_our_token_in_it_is_in_no_answer_and_no_log() {
    let running = Setup::default().fault("business:unauthorized").start();
    let answer = running.get("/v1/single/?Address=5&Country=FRA");
    assert_eq!(answer.json()["code"], "credential_rejected");
    let mut texts = vec![answer.text(), format!("{:?}", answer.fields)];
    eventually("the call is logged", || {
        texts.extend(
            running
                .log_lines("/SINGLE/")
                .iter()
                .map(ToString::to_string),
        );
        texts.len() > 2
    });
    for entry in running.received() {
        let bearer = entry.header_values("authorization")[0];
        let token = String::from_utf8_lossy(&bearer[b"Bearer ".len()..]).into_owned();
        for text in &texts {
            assert!(!text.contains(&token[..12]), "{text}");
        }
    }
}

/// Scenario 13. The last row shows what a call that does not act does instead.
#[test]
fn a_call_that_acts_is_sent_once_when_the_connection_breaks_after_it() {
    let running = Setup::default()
        .set("DQE_ENABLE", "GDPR_MSG")
        .set("LISTENER_THREADS", "1")
        .start();
    running.wait_until_ready();
    let message = "Phone=0612345678&Custom_sms=x&Country=FRA&Company=ACME";
    let by_get = get(&format!("/GDPR_MSG/?{message}"));
    let by_form = post("/GDPR_MSG/", message);
    for (fault, request, status, attempts) in [
        ("reset", &by_get, 502, 1),
        ("reset", &by_form, 502, 1),
        ("reset-after-head", &by_get, 200, 1),
        ("cut-body", &by_form, 200, 1),
        ("garbage", &by_get, 502, 1),
        ("status=503", &by_form, 503, 1),
        ("reset", &get(PHONE), 502, 2),
    ] {
        for is_kept in [true, false] {
            let story = format!("{fault} {is_kept} {request}");
            // On one thread, so the call takes the connection this one leaves, if it does.
            let closes = running
                .dqe
                .sandbox
                .set_switch("keep-alive", if is_kept { "on" } else { "off" });
            closes.unwrap();
            assert_eq!(running.get(PHONE).status, 200);
            let before = running.received().len();
            let fault = format!("business:{fault},times=2");
            running.dqe.sandbox.set_fault(&fault).unwrap();
            let answer = call(running.address, request);
            assert_eq!(answer.status, status, "{story}");
            let received = running.received().split_off(before);
            // What breaks on a new connection was no idle time-out.
            let expected = if is_kept { attempts } else { 1 };
            assert_eq!(received.len(), expected, "{story}");
            running.dqe.sandbox.clear_faults();
        }
    }
}
