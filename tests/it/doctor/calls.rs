//! Calls with a token: whether DQE takes it, and what it answers.

use serde_json::Value;

use super::{PHONE_ONLY, causes_of, dqe, examine};

#[tokio::test]
async fn a_header_that_is_ignored_is_named_with_what_to_set() {
    let sandbox = dqe().await;
    for (name, value) in [("classic-header", "ignored"), ("classic-refusal", "200")] {
        sandbox.set_switch(name, value).unwrap();
    }
    let examined = examine(&sandbox.url(), &[], &["--json"]).await;
    assert_eq!(examined.causes(), ["header_ignored"]);
    let finding = &examined.json()["findings"][0];
    assert_eq!(finding["remedy"], "set [dqe] carriage = \"both\"");
    assert!(
        finding["says"]
            .as_str()
            .unwrap()
            .starts_with("/SINGLEV2/, /SINGLE/, /TEL/,")
    );
    let one = causes_of("", &["carriage.phone=licence"], &[]).await;
    assert_eq!(one, ["header_ignored"]);
}

#[tokio::test]
async fn a_header_that_is_ignored_hurts_nobody_while_the_token_travels_both_ways() {
    let sandbox = dqe().await;
    for (name, value) in [("classic-header", "ignored"), ("classic-refusal", "200")] {
        sandbox.set_switch(name, value).unwrap();
    }
    let settings = [("DQE_PROXY_DQE_CARRIAGE", "auto")];
    let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
    let causes = examined.causes();
    assert!(
        causes.iter().any(|cause| cause == "~header_ignored"),
        "{causes:?}"
    );
    assert_eq!(examined.code, Some(0), "{}", examined.text);
}

#[tokio::test]
async fn a_licence_parameter_that_is_ignored_is_told_and_hurts_nobody() {
    assert_eq!(
        causes_of("", &["carriage=header"], &[]).await,
        ["~licence_ignored"]
    );
    assert_eq!(
        causes_of("", &["carriage=both"], &[]).await,
        ["both_needed"]
    );
}

#[tokio::test]
async fn clocks_that_disagree_are_named() {
    assert_eq!(
        causes_of("", &["date-ahead=1h"], &[PHONE_ONLY]).await,
        ["clock_off"]
    );
    // Tokens are dead on arrival.
    assert_eq!(
        causes_of("", &["clock-skew=300s"], &[PHONE_ONLY]).await,
        ["token_refused"]
    );
}

#[tokio::test]
async fn calls_that_fail_are_named() {
    for (fault, cause) in [
        ("path=/TEL/:status=500", "calls_failing"),
        ("path=/TEL/:status=404", "no_such_path"),
        ("path=/TEL/:status=429", "calls_throttled"),
        ("path=/TEL/:html-200", "call_page"),
        ("path=/TEL/:reset", "calls_unanswered"),
        ("path=/TEL/:empty-200", "token_refused"),
        (
            "path=/TEL/:redirect=https://elsewhere.example/",
            "call_redirect",
        ),
        ("path=/TEL/:slow=1100ms", "~calls_slow"),
    ] {
        assert_eq!(
            causes_of(fault, &[], &[PHONE_ONLY]).await,
            [cause],
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_dqe_that_does_not_answer_calls_is_not_waited_for_long() {
    let sandbox = dqe().await;
    for sample in ["/SINGLEV2/", "/v1/single/", "/SINGLE/", "/TEL/"] {
        sandbox.set_fault(&format!("path={sample}:hang")).unwrap();
    }
    let settings = [("DQE_PROXY_UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")];
    let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["calls_unanswered"], "{}", examined.text);
    let report = examined.json();
    let skipped = |step: &&Value| step["stage"] == "call" && step["verdict"] == "skipped";
    assert_eq!(
        report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(skipped)
            .count(),
        7
    );
    assert_eq!(
        sandbox.business_journal().len(),
        3,
        "HEAD / and one of each path"
    );
}
