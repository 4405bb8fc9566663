//! The credential and the token endpoint: what keeps tokens from being granted.

use dqe_proxy::sandbox::Scope;
use serde_json::Value;

use super::{PHONE_ONLY, SECRET, causes_of, dqe, examine};

#[tokio::test]
async fn a_wrong_licence_code_is_told_from_a_wrong_secret() {
    let takes_codes = ["licence-code=on"];
    let licence = causes_of("", &takes_codes, &[("DQE_LICENCE", "OTHER")]).await;
    assert_eq!(licence, ["licence_refused"]);
    let secret = causes_of("", &takes_codes, &[("DQE_CLIENT_SECRET", "other")]).await;
    assert_eq!(secret, ["client_secret_refused"]);
}

#[tokio::test]
async fn a_refused_credential_is_asked_about_twice_at_most() {
    let sandbox = dqe().await;
    let settings = [("DQE_CLIENT_SECRET", "\"sandbox-secret\"")];
    let examined = examine(&sandbox.url(), &settings, &["--json", "--no-calls"]).await;
    assert_eq!(examined.causes(), ["credential_refused", "~secret_quoted"]);
    assert_eq!(sandbox.counters().token_outcome("invalid_client"), 2);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named() {
    let settings = [
        ("DQE_CLIENT_SECRET", ""),
        ("DQE_PROXY_DQE_CLIENT_SECRET_FILE", "/nowhere/secret"),
    ];
    assert_eq!(causes_of("", &[], &settings).await, ["secret_unreadable"]);
}

#[tokio::test]
async fn a_scope_that_is_not_granted_is_named_and_the_others_go_on() {
    let sandbox = dqe().await;
    sandbox.grant(
        Scope::OAUTH
            .into_iter()
            .filter(|scope| *scope != Scope::B2b)
            .collect(),
    );
    let examined = examine(&sandbox.url(), &[], &["--json"]).await;
    assert_eq!(examined.causes(), ["scope_not_granted"]);
    let report = examined.json();
    assert!(
        report["findings"][0]["says"]
            .as_str()
            .unwrap()
            .contains("client_b2b")
    );
    assert_eq!(report["findings"][0]["side"], "contract");
    let good = |step: &&Value| step["stage"] == "call" && step["verdict"] == "ok";
    assert_eq!(
        report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(good)
            .count(),
        8
    );
}

#[tokio::test]
async fn an_endpoint_that_only_answers_500_is_likely_a_parameter_name() {
    assert_eq!(
        causes_of("token:status=500", &[], &[]).await,
        ["token_parameter_name"]
    );
    let some = causes_of("token&scope=client_phone:status=500", &[], &[]).await;
    assert_eq!(some, ["token_endpoint_failing"]);
}

#[tokio::test]
async fn a_slow_and_a_silent_token_endpoint_are_named() {
    let slow = causes_of("", &["token-latency=1600ms"], &[PHONE_ONLY]).await;
    assert_eq!(slow, ["token_endpoint_slow"]);
    assert_eq!(
        causes_of("token:hang", &[], &[PHONE_ONLY]).await,
        ["token_endpoint_silent"]
    );
}

#[tokio::test]
async fn what_answers_in_place_of_the_token_endpoint_is_named() {
    for (fault, cause) in [
        ("token:html-200", "token_endpoint_page"),
        ("token:empty-200", "token_reply_unusable"),
        ("token:truncated-json", "token_reply_unusable"),
        ("token:status=503", "token_endpoint_failing"),
        ("token:status=429", "token_endpoint_throttles"),
        ("token:status=404", "token_endpoint_refuses"),
        ("token:reset", "token_endpoint_breaks"),
        ("token:refuse=unsupported_grant_type", "scope_unknown"),
        ("token:refuse=invalid_request", "token_request_incomplete"),
        ("any:garbage", "no_http"),
    ] {
        assert_eq!(
            causes_of(fault, &[], &[PHONE_ONLY]).await,
            [cause],
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_redirected_token_endpoint_is_named_with_the_place() {
    let sandbox = dqe().await;
    sandbox
        .set_fault("token:redirect=https://login.example/portal?client_secret=x")
        .unwrap();
    let examined = examine(&sandbox.url(), &[], &["--json"]).await;
    assert_eq!(examined.causes(), ["token_endpoint_redirect"]);
    assert!(
        examined.text.contains("https://login.example/portal,"),
        "{}",
        examined.text
    );
    assert!(
        !examined.text.contains("client_secret="),
        "{}",
        examined.text
    );
}

/// All works then, and an operator has to know that it does by the second secret.
#[tokio::test]
async fn a_rotation_that_is_over_on_the_side_of_dqe_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let next = folder.path().join("next");
    std::fs::write(&next, SECRET).unwrap();
    let settings = [
        ("DQE_CLIENT_SECRET", "other"),
        (
            "DQE_PROXY_DQE_CLIENT_SECRET_NEXT_FILE",
            next.to_str().unwrap(),
        ),
    ];
    let sandbox = dqe().await;
    let examined = examine(&sandbox.url(), &settings, &["--json", "--no-calls"]).await;
    assert_eq!(examined.code, Some(0), "{}", examined.text);
    assert_eq!(examined.causes(), ["~next_secret_in_use"]);
}
