//! `[token]`: where tokens are asked for, and how.

use super::*;
use crate::dqe::token_reply::Reading;
use crate::dqe::{Method, ScopeParameter};

fn refused(text: &str) -> Vec<String> {
    lines(&with_minimum(text).expect_err(text))
}

#[test]
fn nothing_written_is_the_documented_request_to_the_dqe_server() {
    let token = with_minimum("[dqe]\nservers = [\"https://dqe.example:8443\"]")
        .unwrap()
        .token;
    assert_eq!(token.url, "https://dqe.example:8443/oauth/access_token/");
    assert_eq!(token.request.method, Method::Post);
    assert_eq!(token.request.scope_parameter, ScopeParameter::Scope);
    assert!(token.request.extra.is_empty());
    assert_eq!(token.reading, Reading::Lenient);
}

#[test]
fn the_token_endpoint_may_live_elsewhere() {
    let config = with_minimum(
        "[token]\nserver = \"https://Tokens.example\"\npath = \"/Auth/token\"\n[dqe]\nservers = [\"http://127.0.0.1:1\"]",
    )
    .unwrap();
    assert_eq!(config.token.url, "https://tokens.example/Auth/token");
    assert_eq!(config.upstream.server.port(), 1);
    assert_eq!(config.proxy.token_path.as_str(), "/Auth/token");
}

#[test]
fn the_token_server_is_held_to_the_rules_of_the_dqe_server() {
    for (server, message) in [
        (
            "http://tokens.example",
            "plain http is accepted for a loopback address only, since the token would cross the network in the clear: write https://",
        ),
        (
            "http://10.1.2.3:8080",
            "plain http is accepted for a loopback address only, since the token would cross the network in the clear: write https://",
        ),
        (
            "https://me:hunter2@tokens.example",
            "a server address carries no user name or password",
        ),
        (
            "https://tokens.example/oauth",
            "a server has no path, query or fragment: write https://name only",
        ),
        (
            "tokens.example",
            "a server is written https://name, with an optional port",
        ),
    ] {
        let found = refused(&format!("[token]\nserver = \"{server}\""));
        assert_eq!(found, [format!("2:10: token.server: {message}")]);
    }
    assert!(with_minimum("[token]\nserver = \"http://[::1]:8600\"").is_ok());
}

#[test]
fn a_token_path_is_a_path_of_no_api() {
    for (path, message) in [
        (
            "token",
            "the path of the token endpoint begins with a slash and names something",
        ),
        (
            "/",
            "the path of the token endpoint begins with a slash and names something",
        ),
        (
            "/token?x=1",
            "a character that has no place in the path of the token endpoint",
        ),
        (
            "/a/../token",
            "a path has no empty, \".\" or \"..\" segments",
        ),
        ("/TEL/", "this is the path of a DQE API that callers use"),
    ] {
        let found = refused(&format!("[token]\npath = \"{path}\""));
        assert_eq!(found, [format!("2:8: token.path: {message}")], "{path}");
    }
}

#[test]
fn no_route_leads_to_the_path_the_settings_name() {
    for path in [
        "/x/token",
        "/X/TOKEN/",
        "/x/token/*",
        "/v1/x/token",
        "/x/%74oken",
        "/x/y/../token/",
    ] {
        let text = format!(
            "[token]\npath = \"/x/token/\"\n[[route]]\npath = \"{path}\"\nscope = \"client_email\""
        );
        assert_eq!(
            refused(&text),
            ["4:8: route.path: the token endpoint is never forwarded to"],
            "{path}"
        );
    }
    // What is around it may be forwarded to; the endpoint itself stays closed.
    let around =
        "[token]\npath = \"/x/token/\"\n[[route]]\npath = \"/x/*\"\nscope = \"client_email\"";
    assert!(with_minimum(around).is_ok());
}

#[test]
fn a_secret_in_the_url_is_worth_a_warning() {
    let config = with_minimum("[token]\nmethod = \"get\"").unwrap();
    assert_eq!(config.token.request.method, Method::Get);
    let messages: Vec<_> = config
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "the client secret stands in the URL of every token request, where servers and gateways log it"
        ]
    );
}

#[test]
fn extra_parameters_are_sent_as_they_are() {
    let config = with_minimum(
        "[token]\nextra_parameters = [\"grant_type=client_credentials\", \"key= a=b&c \", \"empty=\"]",
    )
    .unwrap();
    let extra: Vec<_> = config
        .token
        .request
        .extra
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect();
    assert_eq!(
        extra,
        [
            ("grant_type", "client_credentials"),
            ("key", " a=b&c "),
            ("empty", "")
        ]
    );
}

#[test]
fn extra_parameters_that_cannot_be_are_refused() {
    for (written, message) in [
        ("\"audience\"", "a parameter without a value"),
        ("\"=hunter2\"", "not the name of a parameter"),
        ("\"hunter2 +/=\"", "not the name of a parameter"),
        ("\"é=1\"", "not the name of a parameter"),
        (
            "\"client_secret=hunter2\"",
            "the proxy sets this parameter itself",
        ),
        ("\"Client_ID=1\"", "the proxy sets this parameter itself"),
        (
            "\"scope=client_email\"",
            "the proxy sets this parameter itself",
        ),
    ] {
        let error = with_minimum(&format!("[token]\nextra_parameters = [{written}]")).unwrap_err();
        assert_eq!(
            lines(&error),
            [format!("2:21: token.extra_parameters: {message}")],
            "{written}"
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(
        refused("[token]\nextra_parameters = [\"a=1\", \"a=2\"]"),
        ["2:28: token.extra_parameters: this parameter stands in the list already"]
    );
    // With the older name for the scope, it is that name that is taken.
    assert_eq!(
        refused(
            "[token]\nscope_parameter = \"grant_type\"\nextra_parameters = [\"scope=x\", \"grant_type=y\"]"
        ),
        ["3:32: token.extra_parameters: the proxy sets this parameter itself"]
    );
}
