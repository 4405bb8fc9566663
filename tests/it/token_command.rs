//! `dqe-proxy token` tells in words what happened: one story for each row of
//! DQE's table of errors, and for what DQE does not document.

use std::process::{Command, Output};

use socket2::{Domain, Socket, Type};

use crate::support::{Setup, TokenServer, answer, granted};

const SECRET: &str = "pass phrase+of&the=story%é";

/// Runs the command for one scope against `server`; more variables win.
fn token(server: &str, more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
    command
        .args(["token", "--scope", "client_email"])
        .env_clear();
    command.env("DQE_LICENCE", "LICENCE-CODE");
    command.env("DQE_CLIENT_SECRET", SECRET);
    command.env("DQE_SERVER", server);
    for (name, value) in more {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let text = [out.as_slice(), err.as_slice()].concat();
    String::from_utf8(text).unwrap()
}

/// The endpoint answers so: the command fails, says these words, and nothing
/// that is hidden.
#[track_caller]
fn check(answer: Vec<u8>, expected: &[&str]) {
    let server = TokenServer::start(move |_| Some(answer.clone()));
    check_at(server.url(), &[], expected);
}

#[track_caller]
fn check_at(url: &str, more: &[(&str, &str)], expected: &[&str]) {
    let output = token(url, more);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [&["no token", "answered: ", "to do: ", "side: "], expected].concat() {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    for hidden in [SECRET, "pass%20phrase", "LICENCE-CODE", "body-of-the-reply"] {
        assert!(!said.contains(hidden), "{hidden:?} is in\n{said}");
    }
}

/// The documented word as text and as a JSON member, with what must not be shown.
#[track_caller]
fn check_word(word: &str, expected: &[&str]) {
    let text = format!("Error ({word}) body-of-the-reply");
    check(answer("400 Bad Request", "", &text), expected);
    let member = word.to_ascii_lowercase().replace(' ', "_");
    let json = format!(r#"{{"error":"{member}","details":"body-of-the-reply"}}"#);
    check(answer("400 Bad Request", "", &json), expected);
}

#[test]
fn a_missing_or_empty_client_id_secret_or_scope_is_told() {
    // DQE answers the same in all three rows.
    check_word(
        "Invalid Request",
        &[
            "status 400, and the documented word \"invalid request\"",
            "misses client_id, client_secret or scope, or finds one of them empty",
            "token.scope_parameter",
            "side:     these settings, or a gateway",
        ],
    );
}

#[test]
fn an_incorrect_client_id_is_told() {
    check_word(
        "Invalid Client",
        &[
            "status 400, and the documented word \"invalid client\"",
            "the licence code is unknown, has ended or is out of its contract",
            "dqe.licence",
            "side:     these settings, or the contract with DQE",
        ],
    );
    let dqe = Setup::default().start_dqe();
    check_at(
        &dqe.sandbox.url(),
        &[("DQE_CLIENT_SECRET", "sandbox-secret")],
        &["\"invalid client\"", "the licence code is unknown"],
    );
}

#[test]
fn a_scope_that_is_not_authorised_is_told() {
    check_word(
        "Unauthorized Client",
        &[
            "status 400, and the documented word \"unauthorized client\"",
            "the licence is not entitled to this scope",
            "dqe.scopes",
            "side:     the contract with DQE",
        ],
    );
    let dqe = Setup::default()
        .fault("refuse-scope=client_email")
        .start_dqe();
    let credential = [
        ("DQE_LICENCE", "SANDBOX"),
        ("DQE_CLIENT_SECRET", "sandbox-secret"),
    ];
    check_at(
        &dqe.sandbox.url(),
        &credential,
        &["\"unauthorized client\"", "not entitled to this scope"],
    );
}

#[test]
fn an_unknown_scope_is_told() {
    check_word(
        "Unsupported Grant Type",
        &[
            "status 400, and the documented word \"unsupported grant type\"",
            "does not know this scope, or reads it under another name",
            "token.scope_parameter",
            "side:     these settings",
        ],
    );
}

#[test]
fn a_misspelt_parameter_is_told_at_the_first_500() {
    let expected = [
        "status 500",
        "DQE answers 500 to a misspelt parameter",
        "token.extra_parameters",
        "side:     these settings if it has never worked, DQE if it has",
    ];
    check(
        answer("500 Internal Server Error", "", "body-of-the-reply"),
        &expected,
    );
    // The fake DQE takes every name it does not know for a misspelt one.
    let dqe = Setup::default().start_dqe();
    let more = [
        ("DQE_LICENCE", "SANDBOX"),
        ("DQE_CLIENT_SECRET", "sandbox-secret"),
        ("DQE_PROXY_TOKEN_EXTRA_PARAMETERS", "client_scret=abcd"),
    ];
    check_at(&dqe.sandbox.url(), &more, &expected);
}

#[test]
fn a_wrong_secret_is_told_whatever_dqe_says_to_it() {
    let dqe = Setup::default().start_dqe();
    check_at(
        &dqe.sandbox.url(),
        &[("DQE_LICENCE", "SANDBOX")],
        &["a wrong client secret may be answered the same way"],
    );
    check(
        answer("400 Bad Request", "", "body-of-the-reply"),
        &[
            "status 400, without a documented word",
            "a wrong client secret may be answered this way",
        ],
    );
    check(
        answer("401 Unauthorized", "", ""),
        &[
            "status 401, without a documented word",
            "a wrong client secret may be answered the same way",
        ],
    );
}

#[test]
fn refusals_by_status_alone_are_told_apart() {
    for (status, expected) in [
        ("403 Forbidden", "the public address of this machine"),
        ("404 Not Found", "no token endpoint at this address"),
        ("405 Method Not Allowed", "set token.method to the other"),
        (
            "407 Proxy Authentication Required",
            "a gateway on the way asks for a log-in",
        ),
    ] {
        check(answer(status, "", "body-of-the-reply"), &[expected]);
    }
}

#[test]
fn what_dqe_does_not_document_is_told() {
    for (answer, expected) in [
        (
            answer("200 OK", "", "<html>body-of-the-reply</html>"),
            &["status 200", "a web page came in place of a token"][..],
        ),
        (
            answer(
                "302 Found",
                "Location: https://elsewhere.example/?secret=body-of-the-reply\r\n",
                "",
            ),
            &[
                "status 302",
                "the token endpoint sends to another address",
                "token.path",
            ],
        ),
        (
            answer("200 OK", "", ""),
            &["status 200", "a success without a body"],
        ),
        (
            answer("429 Too Many Requests", "Retry-After: 7\r\n", ""),
            &["status 429, and to wait 7 s", "asks for fewer calls"],
        ),
        (
            answer("503 Service Unavailable", "", "body-of-the-reply"),
            &["status 503", "is not available", "side:     DQE"],
        ),
        (
            answer("200 OK", "", "body-of-the-reply"),
            &["status 200", "not the documented JSON"],
        ),
        (
            answer("200 OK", "", r#"{"token":"body-of-the-reply"}"#),
            &["status 200", "without an access_token"],
        ),
        (
            answer(
                "200 OK",
                "",
                r#"{"access_token":"body-of-the-reply","expires_in":"0"}"#,
            ),
            &["status 200", "already expired when it came"],
        ),
        (
            b"SSH-2.0-body-of-the-reply\r\n".to_vec(),
            &["answered: nothing", "what came is no HTTP", "because: "],
        ),
        (
            Vec::new(),
            &["answered: nothing", "closed before the reply was complete"],
        ),
    ] {
        check(answer, expected);
    }
}

#[test]
fn a_strict_reader_says_what_the_reply_lacks() {
    let strict = [("DQE_PROXY_TOKEN_REPLY", "strict")];
    for (body, expected) in [
        (
            r#"{"access_token":"body-of-the-reply","expires_in":"300"}"#,
            "does not say that the token is a Bearer token",
        ),
        (
            r#"{"access_token":"body-of-the-reply","token_type":"Bearer"}"#,
            "does not say in a readable way how long the token lives",
        ),
    ] {
        let server = TokenServer::answering("200 OK", body);
        check_at(
            server.url(),
            &strict,
            &["status 200", expected, "token.reply"],
        );
        let lenient = token(server.url(), &[]);
        assert!(lenient.status.success(), "{}", said(&lenient));
    }
    let server = TokenServer::start(|_| Some(granted()));
    let output = token(server.url(), &strict);
    assert!(said(&output).contains("client_email     granted: lives 300 s, fetched in"));
}

#[test]
fn a_connection_that_does_not_come_about_is_told() {
    // Bound and not listening: no other test can get the port meanwhile.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    nobody.bind(&any.into()).unwrap();
    let port = nobody.local_addr().unwrap().as_socket().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    check_at(
        &url,
        &[],
        &[
            "answered: nothing: no connection came about",
            "nothing accepts connections at the address",
        ],
    );
    let silent = TokenServer::start(|_| None);
    check_at(
        silent.url(),
        &[],
        &["answered: nothing", "no whole reply has come in time"],
    );
}

#[test]
fn a_server_that_is_not_trusted_is_told() {
    let dqe = Setup::default().https().start_dqe();
    let other = Setup::default().https().start_dqe();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, other.sandbox.ca_pem().unwrap()).unwrap();
    let path = path.to_str().unwrap();
    check_at(
        &dqe.sandbox.url(),
        &[("DQE_PROXY_UPSTREAM_CA_FILES", path)],
        &[
            "answered: nothing: no connection came about",
            "the certificate of the token server is not trusted",
            "upstream.ca_files",
        ],
    );
    // Plain HTTP where TLS is asked for.
    let plain = TokenServer::start(|_| Some(granted()));
    let url = plain.url().replace("http:", "https:");
    check_at(
        &url,
        &[("DQE_PROXY_UPSTREAM_CA_FILES", path)],
        &["the other side does not speak TLS", "check the port"],
    );
}

/// Grants to this secret only.
fn knowing(secret: &'static str) -> TokenServer {
    TokenServer::start(move |call| {
        if call.has(&format!("client_secret={secret}")) {
            Some(granted())
        } else {
            Some(answer("400 Bad Request", "", "Invalid Client"))
        }
    })
}

#[test]
fn the_next_secret_is_tried_when_the_first_is_refused_and_named_when_it_works() {
    let with_next = [
        ("DQE_PROXY_DQE_CLIENT_SECRET_NEXT_ENV", "NEXT_SECRET"),
        ("NEXT_SECRET", "secret-two"),
    ];
    let first = [("DQE_CLIENT_SECRET", "secret-one")];
    let variables = [&with_next[..], &first].concat();

    let server = knowing("secret-one");
    let output = token(server.url(), &variables);
    assert!(output.status.success());
    assert!(said(&output).contains("granted with the first secret: "));
    assert_eq!(server.calls().len(), 1, "the second is not needed");

    let server = knowing("secret-two");
    let output = token(server.url(), &variables);
    assert!(output.status.success());
    assert!(said(&output).contains("granted with the next secret, the first one is refused: "));

    let server = knowing("secret-three");
    let output = token(server.url(), &variables);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1));
    for words in [
        "no token with the first secret: the licence code is unknown",
        "no token with the next secret: the licence code is unknown",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("secret-"), "{text}");

    // What another secret cannot change is not asked twice.
    let server = TokenServer::answering("400 Bad Request", "Unauthorized Client");
    let output = token(server.url(), &variables);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn a_first_secret_that_cannot_be_read_leaves_the_next() {
    let server = knowing("secret-two");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
    let output = command
        .args(["token", "--scope", "client_email"])
        .env_clear()
        .env("DQE_LICENCE", "LICENCE-CODE")
        .env("DQE_PROXY_DQE_CLIENT_SECRET_FILE", "/nowhere/secret")
        .env("DQE_PROXY_DQE_CLIENT_SECRET_NEXT_ENV", "NEXT_SECRET")
        .env("NEXT_SECRET", "secret-two")
        .env("DQE_SERVER", server.url())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("granted with the next secret, the first one cannot be read: "));
}

#[test]
fn what_is_the_same_for_every_scope_is_told_once() {
    let server = TokenServer::answering("400 Bad Request", "Invalid Client");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
    let output = command
        .arg("token")
        .env_clear()
        .env("DQE_LICENCE", "LICENCE-CODE")
        .env("DQE_CLIENT_SECRET", SECRET)
        .env("DQE_SERVER", server.url())
        .output()
        .unwrap();
    let text = said(&output);
    assert_eq!(text.matches("answered: ").count(), 1, "{text}");
    assert_eq!(
        text.matches("no token: as for client_").count(),
        6,
        "{text}"
    );
}
