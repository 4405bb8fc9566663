use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn meaning(status: u16, body: &[u8]) -> String {
    meaning_when(Reading::Lenient, status, body)
}

fn meaning_when(reading: Reading, status: u16, body: &[u8]) -> String {
    match read_reply(status, None, body, SystemTime::UNIX_EPOCH, reading) {
        Reply::Granted(grant) => format!(
            "{} {}{}",
            grant.access_token.expose_secret(),
            grant.life.as_secs_f64(),
            if grant.life_was_assumed { "?" } else { "" }
        ),
        Reply::Transient { fault, .. } => format!("{fault:?}"),
        Reply::Permanent { refusal, .. } => format!("! {refusal:?}"),
    }
}

#[test]
fn a_success_means_what_its_members_say() {
    for (body, expected) in [
        // DQE's own example: a string.
        (
            r#"{"access_token":"TK94","token_type":"Bearer","expires_in":"300","refresh_token":"*TK9"}"#,
            "TK94 300",
        ),
        (r#"{"access_token":"t","expires_in":300}"#, "t 300"),
        (r#"{"access_token":"t","expires_in":" 300 "}"#, "t 300"),
        (r#"{"access_token":"t","expires_in":"299.5"}"#, "t 299.5"),
        (
            r#"{"access_token":"t","token_type":"bEARER","expires_in":2}"#,
            "t 2",
        ),
        (
            r#"{"access_token":"t","token_type":null,"expires_in":2}"#,
            "t 2",
        ),
        // Missing or unreadable: 240 s.
        (r#"{"access_token":"t"}"#, "t 240?"),
        (r#"{"access_token":"t","expires_in":null}"#, "t 240?"),
        (r#"{"access_token":"t","expires_in":""}"#, "t 240?"),
        (r#"{"access_token":"t","expires_in":"soon"}"#, "t 240?"),
        (r#"{"access_token":"t","expires_in":"inf"}"#, "t 240?"),
        (r#"{"access_token":"t","expires_in":"NaN"}"#, "t 240?"),
        (r#"{"access_token":"t","expires_in":{}}"#, "t 240?"),
        // Absurd: a day.
        (r#"{"access_token":"t","expires_in":1e30}"#, "t 86400"),
        (
            r#"{"access_token":"t","expires_in":"99999999999999999999"}"#,
            "t 86400",
        ),
        // Dead on arrival.
        (r#"{"access_token":"t","expires_in":0}"#, "NoLife"),
        (r#"{"access_token":"t","expires_in":"0"}"#, "NoLife"),
        (r#"{"access_token":"t","expires_in":-1}"#, "NoLife"),
        (r#"{"access_token":"t","expires_in":"-300"}"#, "NoLife"),
        (r#"{"access_token":"t","expires_in":0.001}"#, "NoLife"),
        // No token worth the name.
        ("", "Empty"),
        (" \r\n", "Empty"),
        ("<html><body>maintenance</body></html>", "Html"),
        ("\u{feff}<!doctype html>", "Html"),
        ("OK", "Unparsable"),
        ("[]", "Unparsable"),
        ("{", "Unparsable"),
        (
            r#"{"access_token":"t","expires_in":"300"} trailing"#,
            "Unparsable",
        ),
        ("{}", "NoAccessToken"),
        (r#"{"access_token":""}"#, "NoAccessToken"),
        (r#"{"access_token":null}"#, "NoAccessToken"),
        (r#"{"access_token":5}"#, "NoAccessToken"),
        (r#"{"access_token":"a b"}"#, "IllegalAccessToken"),
        (r#"{"access_token":"a\r\nX: y"}"#, "IllegalAccessToken"),
        (r#"{"access_token":"é"}"#, "IllegalAccessToken"),
        (r#"{"access_token":"t","token_type":"mac"}"#, "NotBearer"),
        (
            r#"{"access_token":"t","error":"server_error"}"#,
            "ErrorMember",
        ),
        (r#"{"error":"invalid_client"}"#, "! InvalidClient"),
        (r#"{"access_token":"t","error":"","expires_in":9}"#, "t 9"),
        (r#"{"access_token":"t","error":null,"expires_in":9}"#, "t 9"),
    ] {
        assert_eq!(meaning(200, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_strict_reader_takes_the_documented_success_only_and_says_what_is_wrong() {
    for (body, expected) in [
        (
            r#"{"access_token":"TK94","token_type":"Bearer","expires_in":"300","refresh_token":"*TK9"}"#,
            "TK94 300",
        ),
        (
            r#"{"access_token":"t","token_type":"bearer","expires_in":300}"#,
            "t 300",
        ),
        (r#"{"access_token":"t","expires_in":"300"}"#, "NotBearer"),
        (
            r#"{"access_token":"t","token_type":null,"expires_in":"300"}"#,
            "NotBearer",
        ),
        (
            r#"{"access_token":"t","token_type":"","expires_in":"300"}"#,
            "NotBearer",
        ),
        (
            r#"{"access_token":"t","token_type":" Bearer","expires_in":"300"}"#,
            "NotBearer",
        ),
        (
            r#"{"access_token":"t","token_type":"mac","expires_in":"300"}"#,
            "NotBearer",
        ),
        (
            r#"{"access_token":"t","token_type":"Bearer"}"#,
            "UnreadableLife",
        ),
        (
            r#"{"access_token":"t","token_type":"Bearer","expires_in":null}"#,
            "UnreadableLife",
        ),
        (
            r#"{"access_token":"t","token_type":"Bearer","expires_in":"soon"}"#,
            "UnreadableLife",
        ),
        (
            r#"{"access_token":"t","token_type":"Bearer","expires_in":"0"}"#,
            "NoLife",
        ),
        (
            r#"{"access_token":"","token_type":"Bearer","expires_in":"300"}"#,
            "NoAccessToken",
        ),
        (
            r#"{"access_token":7,"token_type":"Bearer","expires_in":"300"}"#,
            "NoAccessToken",
        ),
        (
            r#"{"token_type":"Bearer","expires_in":"300"}"#,
            "NoAccessToken",
        ),
        ("<html>", "Html"),
        ("", "Empty"),
        ("TK94", "Unparsable"),
    ] {
        assert_eq!(
            meaning_when(Reading::Strict, 200, body.as_bytes()),
            expected,
            "{body}"
        );
    }
    // Of failures both readers say the same.
    assert_eq!(
        meaning_when(Reading::Strict, 400, b"Invalid Client"),
        "! InvalidClient"
    );
}

#[test]
fn a_refusal_names_the_word_it_was_recognised_by() {
    for (status, body, expected) in [
        (400, "Error (Invalid Request)", Some("invalid request")),
        (400, "Error (Invalid Client)", Some("invalid client")),
        (
            400,
            "Error (Unauthorized Client)",
            Some("unauthorized client"),
        ),
        (
            400,
            "Error (Unsupported Grant Type)",
            Some("unsupported grant type"),
        ),
        (
            400,
            r#"{"error":"INVALID_CLIENT","secret":"hunter2"}"#,
            Some("invalid client"),
        ),
        (200, r#"{"error":"invalid_scope"}"#, Some("invalid scope")),
        (401, "", None),
        (403, "hunter2", None),
        (302, "Invalid Client", None),
    ] {
        let reply = read_reply(
            status,
            None,
            body.as_bytes(),
            SystemTime::UNIX_EPOCH,
            Reading::Lenient,
        );
        let Reply::Permanent { word, .. } = reply else {
            panic!("{status} {body}: {reply:?}");
        };
        assert_eq!(word, expected, "{status} {body}");
    }
}

#[test]
fn a_token_too_long_for_a_header_is_refused() {
    let body = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(5000));
    assert_eq!(meaning(200, body.as_bytes()), "IllegalAccessToken");
}

#[test]
fn a_failure_is_known_by_status_and_by_word_where_there_is_one() {
    for (status, body, expected) in [
        (400, "Invalid Client", "! InvalidClient"),
        (400, r#"{"error":"invalid_client"}"#, "! InvalidClient"),
        (400, "Error (Unauthorized Client)", "! UnauthorizedScope"),
        (
            400,
            r#"{"error":"UNAUTHORIZED_CLIENT"}"#,
            "! UnauthorizedScope",
        ),
        (400, "Unsupported Grant Type", "! UnsupportedScope"),
        (
            400,
            r#"{"error":"unsupported_grant_type"}"#,
            "! UnsupportedScope",
        ),
        (400, r#"{"error":"invalid_scope"}"#, "! UnsupportedScope"),
        (400, "<p>Invalid Request</p>", "! InvalidRequest"),
        (400, "", "! ClientError"),
        (400, "\u{0}\u{1}", "! ClientError"),
        (401, "", "! InvalidClient"),
        (401, "unauthorized_client", "! UnauthorizedScope"),
        (403, "forbidden", "! ClientError"),
        (404, "<html>", "! ClientError"),
        (408, "", "Unavailable"),
        (425, "", "Unavailable"),
        (429, "", "Throttled"),
        (500, "Invalid Client", "InternalError"),
        (502, "", "Unavailable"),
        (503, "", "Unavailable"),
        (301, "", "! Redirect"),
        (304, "", "! Redirect"),
        (204, "", "Empty"),
        (201, r#"{"access_token":"t","expires_in":9}"#, "t 9"),
        (999, "", "Unavailable"),
    ] {
        assert_eq!(
            meaning(status, body.as_bytes()),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn retry_after_is_read_in_seconds_and_as_a_date() {
    // Sunday, 6 November 1994, 08:49:37 GMT, the example of RFC 9110.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let wall = date - Duration::from_secs(90);
    for (value, expected) in [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("99999999999999999999999", Some(u64::MAX)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
        ("Sun Nov  6 08:49:37 1994", Some(90)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Sun, 66 Nov 1994 08:49:37 GMT", None),
    ] {
        assert_eq!(
            read_retry_after(value.as_bytes(), wall),
            expected.map(Duration::from_secs),
            "{value}"
        );
    }
    assert_eq!(read_retry_after(b"\xff", wall), None);
}

#[test]
fn a_grant_never_prints_its_token() {
    let reply = read_reply(
        200,
        None,
        br#"{"access_token":"hunter2"}"#,
        SystemTime::UNIX_EPOCH,
        Reading::Lenient,
    );
    assert!(!format!("{reply:?}").contains("hunter2"));
}

fn json_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| format!("\"{number}\"")),
        "[ -~]{0,12}".prop_map(|text| Value::String(text).to_string()),
        Just("{}".to_owned()),
        Just("true".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        status in 0_u16..1000,
        body in proptest::collection::vec(any::<u8>(), 0..300),
        retry_after in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for reading in [Reading::Lenient, Reading::Strict] {
            let _ = read_reply(status, Some(&retry_after), &body, SystemTime::now(), reading);
        }
    }

    #[test]
    fn a_granted_life_is_never_endless_and_never_nothing(
        life in json_value(),
        token in json_value(),
        kind in json_value(),
    ) {
        let body = format!(
            r#"{{"access_token":{token},"token_type":{kind},"expires_in":{life}}}"#
        );
        if let Reply::Granted(grant) =
            read_reply(200, None, body.as_bytes(), SystemTime::now(), Reading::Lenient)
        {
            prop_assert!(grant.life >= SHORTEST_LIFE && grant.life <= LONGEST_LIFE);
            prop_assert!(http::HeaderValue::from_str(
                grant.access_token.expose_secret()).is_ok());
        }
    }
}
