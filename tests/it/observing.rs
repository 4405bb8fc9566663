//! What an operator can read about tokens: metrics per scope, `/status.json`,
//! `/readyz?verbose`. Numbers must say what happened, and nothing may be told
//! that is secret.

use std::time::{Duration, Instant};

use dqe_proxy::sandbox::Scope;
use serde_json::Value;

use crate::support::{Connection, PATIENCE, Running, Setup, call, eventually, get};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA&Licence=OURS";

/// A metric of the scope `client_phone`, whose line begins so.
fn of_phone(running: &Running, name: &str) -> f64 {
    let line = format!("dqe_proxy_token_{name}{{scope=\"client_phone\"}}");
    running
        .metric(&line)
        .unwrap_or_else(|| panic!("{line} is not shown"))
}

/// Shares counted up to `bound`.
fn shares_of_phone(running: &Running, name: &str, bound: &str) -> f64 {
    let line = format!("dqe_proxy_token_{name}_bucket{{le=\"{bound}\",scope=\"client_phone\"}}");
    running
        .metric(&line)
        .unwrap_or_else(|| panic!("{line} is not shown"))
}

fn renewals_of_phone(running: &Running, outcome: &str, reason: &str) -> f64 {
    let name = "dqe_proxy_token_renewals_total";
    let labels = format!("scope=\"client_phone\",outcome=\"{outcome}\",reason=\"{reason}\"");
    running
        .metric(&format!("{name}{{{labels}}}"))
        .unwrap_or_default()
}

/// One good call after another until `enough`; returns how many.
fn calls_until(running: &Running, mut enough: impl FnMut() -> bool) -> usize {
    let begun = Instant::now();
    let mut connection = Connection::open(running.address);
    let mut calls = 0;
    while !enough() {
        assert!(begun.elapsed() < PATIENCE, "never enough: {calls} calls");
        connection.send_get(CALL);
        assert_eq!(connection.answer().status, 200);
        calls += 1;
    }
    calls
}

fn status(running: &Running) -> Value {
    let answer = running.admin_get("/status.json");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.field("content-type").as_deref(),
        Some("application/json")
    );
    answer.json()
}

fn of_scope<'a>(status: &'a Value, scope: &str) -> &'a Value {
    let mut tokens = status["tokens"].as_array().unwrap().iter();
    tokens.find(|token| token["scope"] == scope).unwrap()
}

/// Everything the admin listener can tell, in one text.
fn everything(running: &Running) -> String {
    let pages = ["/", "/readyz?verbose", "/metrics", "/status.json"];
    pages.map(|page| running.admin_get(page).text()).concat()
}

#[track_caller]
fn assert_no_secret(running: &Running) {
    // Every token of the fake DQE begins with these two letters.
    let form = "client_id=SANDBOX&client_secret=sandbox-secret&scope=client_phone";
    let head = "POST /oauth/access_token/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let length = form.len();
    let reply = call(
        running.dqe.sandbox.address(),
        format!("{head}Content-Length: {length}\r\n\r\n{form}"),
    );
    assert!(
        reply.text().contains("\"access_token\":\"TK"),
        "{}",
        reply.text()
    );
    let text = everything(running);
    for secret in [
        "TK",
        "Bearer",
        "sandbox-secret",
        "SANDBOX",
        "OURS",
        "0612345678",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn after_some_renewals_the_histograms_say_what_happened() {
    let running = Setup::default().token_life(Duration::from_secs(2)).start();
    running.wait_until_ready();
    let issued = || running.counters().tokens_issued(Scope::Phone);
    let calls = calls_until(&running, || issued() >= 4);
    assert!(calls > 50, "{calls}");

    let left = |bound: &str| shares_of_phone(&running, "life_left_ratio", bound);
    assert_eq!(left("+Inf"), calls as f64, "each send is counted once");
    assert_eq!(left("1.0"), calls as f64);
    // At a life of 2 s a token is not sent past 90 % of it.
    assert_eq!(left("0.03"), 0.0, "3 % of the life are left at each send");
    let mean = of_phone(&running, "life_left_ratio_sum") / calls as f64;
    assert!((0.4..1.0).contains(&mean), "{mean}");

    // Renewals go on: these are numbers of one moment.
    let text = running.admin_get("/metrics").text();
    let slack = |suffix: &str| {
        let line = format!("dqe_proxy_token_renewal_slack_ratio_{suffix}");
        let mut lines = text.lines().filter_map(|it| it.strip_prefix(&line));
        lines.next().unwrap().trim().parse::<f64>().unwrap()
    };
    let published = slack(r#"count{scope="client_phone"}"#);
    assert!(published >= 2.0, "{published}");
    let in_time = slack(r#"bucket{le="0.03",scope="client_phone"}"#);
    assert_eq!(in_time, 0.0, "each came before the old one was dead");
    let mean = slack(r#"sum{scope="client_phone"}"#) / published;
    assert!((0.2..0.56).contains(&mean), "{mean}");
    let granted = renewals_of_phone(&running, "granted", "");
    assert!(granted > published, "the first token has no predecessor");

    assert_eq!(of_phone(&running, "waits_total"), 0.0);
    assert_eq!(of_phone(&running, "wait_seconds_total"), 0.0);
    assert_eq!(of_phone(&running, "replays_total"), 0.0);
    assert!(of_phone(&running, "calls_total") >= granted);
    // A scope that nobody called has its lines as well.
    let email = r#"dqe_proxy_token_life_left_ratio_count{scope="client_email"}"#;
    assert_eq!(running.metric(email), Some(0.0));
    assert_no_secret(&running);
}

#[test]
fn a_caller_held_at_a_cold_start_is_counted_and_none_after_it() {
    let running = Setup::default().fault("token:hang").start();
    assert_eq!(running.get(CALL).status, 503, "held in vain");
    assert_eq!(of_phone(&running, "waits_total"), 1.0);
    let held = of_phone(&running, "wait_seconds_total");
    assert!((0.6..5.0).contains(&held), "{held}");
    let before = status(&running);
    let phone = of_scope(&before, "client_phone");
    assert_eq!(
        (&phone["state"], &phone["waits"]),
        (&"waiting".into(), &1.into())
    );
    assert_eq!(
        phone["wait_seconds"].as_f64(),
        Some((held * 1e3).round() / 1e3)
    );
    assert_eq!(before["ready"], false);

    running.dqe.sandbox.clear_faults();
    running.wait_until_ready();
    let mut left = 20;
    calls_until(&running, || {
        left -= 1;
        left == 0
    });
    assert_eq!(of_phone(&running, "waits_total"), 1.0);
    assert_eq!(of_phone(&running, "wait_seconds_total"), held);
    assert_eq!(status(&running)["ready"], true);
}

#[test]
fn a_revocation_shows_one_forced_renewal_and_its_replays() {
    let running = Running::start();
    running.wait_until_ready();
    assert_eq!(running.get(CALL).status, 200);
    running.dqe.sandbox.revoke(Scope::Phone);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let address = running.address;
            std::thread::spawn(move || get(address, CALL).status)
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), 200);
    }
    assert_eq!(of_phone(&running, "forced_renewals_total"), 1.0);
    assert_eq!(renewals_of_phone(&running, "granted", ""), 2.0);
    let replays = of_phone(&running, "replays_total");
    assert!((1.0..=8.0).contains(&replays), "{replays}");
    assert_eq!(running.received().len() as f64, 9.0 + replays);
    assert_eq!(
        of_phone(&running, "life_left_ratio_count"),
        9.0 + replays,
        "each send is counted, replays included"
    );
    assert_eq!(
        running.metric("dqe_proxy_replays_total{route=\"/TEL/\"}"),
        Some(replays)
    );
    assert!(of_phone(&running, "waits_total") >= 1.0);
    // A token taken out of use early says nothing of renewals in time.
    assert_eq!(of_phone(&running, "renewal_slack_ratio_count"), 0.0);
}

#[test]
fn a_server_that_repeats_its_token_shows_repeats_and_no_expired_token() {
    let running = Setup::default()
        .token_life(Duration::from_secs(2))
        .set("DQE_SCOPES", "client_phone")
        .start();
    running.dqe.sandbox.set_switch("token-reuse", "on").unwrap();
    let repeated = || renewals_of_phone(&running, "repeated", "");
    let calls = calls_until(&running, || {
        repeated() >= 1.0 && of_phone(&running, "generation") >= 3.0
    });
    assert!(of_phone(&running, "same_total") >= repeated());
    let left = |bound: &str| shares_of_phone(&running, "life_left_ratio", bound);
    assert_eq!(left("0.0"), 0.0, "no expired token among {calls} calls");
}

/// Events as lines, for a message.
fn told(events: &[Value]) -> String {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    lines.join("\n")
}

#[test]
fn events_are_told_in_order_with_their_numbers_and_no_secret() {
    let running = Setup::default()
        .token_life(Duration::from_secs(2))
        .set("DQE_SCOPES", "client_phone")
        .start();
    let generation = || of_phone(&running, "generation");
    eventually("there is a token", || running.get(CALL).status == 200);
    running.dqe.sandbox.revoke(Scope::Phone);
    assert_eq!(running.get(CALL).status, 200);
    running.dqe.sandbox.set_fault("token:status=503").unwrap();
    let failed = || renewals_of_phone(&running, "transient", "endpoint_unavailable");
    eventually("two attempts have failed", || failed() >= 2.0);
    running.dqe.sandbox.clear_faults();
    let before = generation();
    eventually("the next succeeds", || generation() > before);
    running.handle.reload();
    let is_over = |status: &Value| {
        let events = status["events"].as_array().unwrap();
        events.iter().any(|event| event["event"] == "reloaded")
    };
    eventually("the reload is told", || is_over(&status(&running)));

    let shown = status(&running);
    let events = shown["events"].as_array().unwrap();
    assert!((7..50).contains(&events.len()), "{}", told(events));
    let (mut time, mut newest, mut rejected, mut failures) = (0, 0, None, 0);
    for event in events {
        let text = event["time"].as_str().unwrap();
        let at = text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        assert!(text.ends_with('Z') && at >= time, "{}", told(events));
        time = at;
        match event["event"].as_str().unwrap() {
            "granted" => {
                assert_eq!(event["generation"], newest + 1, "{}", told(events));
                assert_eq!(event["life_seconds"], 2.0);
                let slack = event["slack_seconds"].as_f64();
                let has_predecessor = newest > 0 && rejected != Some(newest);
                assert_eq!(slack.is_some(), has_predecessor, "{}", told(events));
                assert!(slack.is_none_or(|slack| (0.0..1.2).contains(&slack)));
                newest += 1;
            }
            "rejected" => {
                rejected = Some(newest);
                assert_eq!(event["generation"], newest, "{}", told(events));
            }
            "failed" => {
                failures += u64::from(event["code"] == "endpoint_unavailable");
                assert!(
                    event["sentence"]
                        .as_str()
                        .unwrap()
                        .contains("the token endpoint")
                );
                assert!(event["next_try_seconds"].as_f64().unwrap() < 2.0);
            }
            "reloaded" => assert_eq!(event["scope"], Value::Null),
            other => panic!("{other} in {}", told(events)),
        }
        assert!(event["event"] == "reloaded" || event["scope"] == "client_phone");
    }
    assert!(rejected.is_some() && failures >= 2, "{}", told(events));

    let phone = of_scope(&shown, "client_phone");
    assert_eq!(phone["state"], "fresh");
    assert_eq!(phone["generation"], newest);
    assert_eq!(phone["life_seconds"], 2.0);
    assert_eq!(
        (&phone["forced_renewals"], &phone["last_error"]),
        (&1.into(), &Value::Null)
    );
    let next = phone["next_renewal_seconds"].as_f64().unwrap();
    assert!((0.0..=1.1).contains(&next), "{next}");
    let left = phone["seconds_to_expiry"].as_f64().unwrap();
    assert!((0.2..=2.0).contains(&left), "{left}");
    let renewals = phone["renewals"].as_array().unwrap();
    let count = |outcome: &str, reason: &str| {
        let is_it = |entry: &&Value| entry["outcome"] == outcome && entry["reason"] == reason;
        renewals.iter().find(is_it).unwrap()["count"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(count("granted", ""), newest);
    assert_eq!(count("transient", "endpoint_unavailable"), failures);
    assert!(phone["calls"].as_u64().unwrap() >= newest + failures);
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    assert_no_secret(&running);
}

#[test]
fn a_scope_without_a_token_is_listed_with_the_reason() {
    let running = Setup::default()
        .fault("token:refuse-scope=client_b2b")
        .start();
    let sentence =
        "the licence is not entitled to this scope: ask DQE for it, or take it out of dqe.scopes";
    eventually("the refusal is known", || {
        let ready = running.admin_get("/readyz?verbose");
        let refused = format!("[-]token client_b2b failed: refused, {sentence}\n");
        ready.status == 200 && ready.text().contains(&refused)
    });
    let line = r#"dqe_proxy_token_renewals_total{scope="client_b2b",outcome="permanent",reason="unauthorized_scope"}"#;
    assert!(running.metric(line).is_some_and(|count| count >= 1.0));
    let shown = status(&running);
    let refused = of_scope(&shown, "client_b2b");
    assert_eq!(refused["state"], "refused");
    assert_eq!(refused["last_error"]["code"], "unauthorized_scope");
    assert_eq!(refused["last_error"]["sentence"], sentence);
    assert!(refused["next_renewal_seconds"].as_f64().unwrap() > 1.0);
    assert_eq!(refused["seconds_to_expiry"], Value::Null);
}

#[test]
fn a_draining_proxy_still_tells_its_status() {
    let running = Setup::default().set("DRAIN_DELAY", "1s").start();
    running.wait_until_ready();
    running.handle.drain();
    eventually("the drain is shown", || {
        let shown = status(&running);
        shown["draining"] == true && shown["ready"] == false
    });
}
