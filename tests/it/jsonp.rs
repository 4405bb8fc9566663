//! Pages that load answers as scripts (JSONP): what they ask for passes byte for
//! byte, and no answer of the proxy's own can run in them.

use crate::support::{Answer, Running, Setup, target_received};

const CALL: &str = "callback=jQuery1113_1700000000000&_=1700000000001";

#[test]
fn callback_and_timestamp_pass_and_the_answer_calls_back() {
    let running = Running::start();
    running.wait_until_ready();
    for (query, word) in [
        (format!("Tel=0612345678&Pays=FRA&{CALL}"), "MOBILE"),
        (format!("{CALL}&Tel=0612345678&Licence=OURS"), "MOBILE"),
        (
            "_=1&callback=jQuery.x%5B1%5D&callback=b&Tel=06+1|2%7C".to_owned(),
            "IdError",
        ),
    ] {
        let answer = running.get(&format!("/TEL/?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
        let expected = if query.contains("Licence=OURS") {
            query.replace("OURS", "{token}")
        } else {
            format!("{query}&Licence={{token}}")
        };
        assert_eq!(
            target_received(&running.last_received()),
            format!("/TEL/?{expected}")
        );
    }
    let answer = running.get(&format!("/TEL/?Tel=0612345678&{CALL}"));
    let text = answer.text();
    let document = text
        .strip_prefix("jQuery1113_1700000000000(")
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap();
    // A string that holds the document, as DQE's plugin expects it.
    let document: String = serde_json::from_str(document).unwrap();
    serde_json::from_str::<serde_json::Value>(&document).unwrap();
}

/// A browser runs no script with a status other than 2xx; one that did would
/// not take this type for a script's, nor find one in the text.
#[track_caller]
fn assert_harmless(answer: &Answer, code: &str) {
    assert!(answer.status >= 300, "{code}: {}", answer.status);
    let fields = [
        ("content-type", "application/problem+json"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in fields {
        assert_eq!(answer.field(name).as_deref(), Some(value), "{code}");
    }
    assert_eq!(answer.json()["code"], code);
    let text = answer.text();
    // A string before a colon is no statement: a syntax error at the first token.
    assert!(
        text.starts_with("{\"code\":") || text.starts_with("{\"type\":"),
        "{text}"
    );
    assert!(
        !text.contains("jQuery") && !text.contains("alert"),
        "{text}"
    );
}

#[test]
fn the_proxys_own_errors_never_run_in_a_page() {
    let call = "callback=jQuery1_2&x=alert(1)//&_=1";
    let running = Setup::default()
        .set("DQE_SCOPES", "client_phone")
        .fault("path=/TEL/:unauthorized")
        .start();
    for (target, code) in [
        (format!("/TEL/?{call}"), "credential_rejected"),
        (format!("/jQuery1_2(alert)/?{call}"), "route_not_found"),
        (format!("/RNVP/?{call}"), "scope_not_configured"),
        (format!("/TEL//?{call}"), "target_not_allowed"),
        (
            format!("/TEL/?{call}{}", "a".repeat(8000)),
            "target_too_long",
        ),
    ] {
        assert_harmless(&running.get(&target), code);
    }
    let cold = Setup::default()
        .fault("token:status=500")
        .set("TOKEN_WAIT", "0s")
        .start();
    let answer = cold.get(&format!("/TEL/?{call}"));
    assert_harmless(&answer, "token_unavailable");
}
