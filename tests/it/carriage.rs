//! How the token travels: in the header, as the licence parameter, both ways;
//! and what the caller gets from a DQE that looks at one, the other or both.

use std::collections::HashMap;

use dqe_proxy::sandbox::{Carrier, CredentialKind, Entry, Standing};

use crate::support::{Answer, Connection, Running, Setup, body_received, call, target_received};

const CARRIAGES: [&str; 4] = ["auto", "header", "licence", "both"];
const PERSONALITIES: [&str; 4] = ["header", "licence", "either", "both"];

/// How a path says no, when it does so with status 200.
#[derive(Clone, Copy, PartialEq)]
enum No {
    /// In words.
    Plain,
    /// With an empty result, as if nothing had been found.
    Silent,
    /// It says no with another status.
    Never,
}

/// One path of each family and generation; whether DQE documents a licence
/// parameter for it; how it says no.
const PATHS: &[(&str, bool, No)] = &[
    (
        "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA",
        true,
        No::Silent,
    ),
    ("/LATLG/?IDVoie=751207837&Num=5&Pays=FRA", true, No::Silent),
    ("/TEL/?Tel=0612345678&Pays=FRA", true, No::Plain),
    (
        "/DQEEMAILLOOKUP/?Email=jean.dupont@gmail.com",
        true,
        No::Plain,
    ),
    ("/FIRSTNAMESUGGEST/?Firstname=ali", true, No::Silent),
    (
        "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y",
        true,
        No::Silent,
    ),
    (
        "/SEARCH/?LastName=DUPONT&FirstName=JEAN&Address=5%20RUE%20DES%20PYRENEES&PostalCode=75020&City=PARIS&Version=2",
        true,
        No::Silent,
    ),
    (
        "/v1/single/?Address=5%20rue%20des%20pyr&Country=FRA",
        true,
        No::Never,
    ),
    (
        "/v1/lookupemail/?Email=jean.dupont@gmail.com&Rectify=1&CheckUser=0&TimeOut=1",
        true,
        No::Never,
    ),
    (
        "/v1/email/lookup?email=jean.dupont@gmail.com",
        false,
        No::Never,
    ),
    (
        "/v1/phone/lookup?phone=0612345678&country=FRA",
        false,
        No::Never,
    ),
];

fn got(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// The same call by POST: a form, or JSON on the paths that want it.
fn posted(target: &str, is_form: bool) -> String {
    let (path, query) = target.split_once('?').unwrap();
    if is_form {
        return post(path, FORM, query);
    }
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    let body: serde_json::Map<_, _> = pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    post(
        path,
        "application/json",
        &serde_json::to_string(&body).unwrap(),
    )
}

/// What a caller of `path` gets when DQE looks at `personality` only and the
/// token travels as `carriage`: whether it is DQE's good answer.
fn is_right(carriage: &str, is_documented: bool, personality: &str) -> bool {
    let (header, parameter) = match carriage {
        "header" => (true, false),
        "licence" => (false, true),
        "auto" => (true, is_documented),
        _ => (true, true),
    };
    match personality {
        "header" => header,
        "licence" => parameter,
        "either" => header || parameter,
        _ => header && parameter,
    }
}

/// One `Authorization` at most, one licence parameter at most, both of them
/// live tokens of a scope the path takes.
#[track_caller]
fn assert_isolated(entry: &Entry, story: &str) {
    assert!(
        entry.violations.is_empty(),
        "{story}: {:?}",
        entry.violations
    );
    assert!(!entry.credentials.is_empty(), "{story}");
    for presented in &entry.credentials {
        let live = CredentialKind::Token(Standing::Live);
        assert_eq!(presented.kind, live, "{story}");
        assert!(!presented.wrong_scope, "{story}");
    }
}

/// What the caller is told when DQE does not look where the token is.
#[track_caller]
fn assert_told(answer: &Answer, no: No, refusal: &str, story: &str) {
    let text = answer.text();
    match answer.status {
        502 => assert_eq!(answer.json()["code"], "credential_rejected", "{story}"),
        // The token has just been rejected and its successor is on its way.
        503 => assert_eq!(answer.json()["code"], "token_unavailable", "{story}"),
        // A RESTful path that misses its parameter says so.
        400 => assert!(
            no == No::Never && text.contains("Licence"),
            "{story}: {text}"
        ),
        // Nobody can tell this from an honest answer, but for there being many.
        200 => assert!(
            refusal == "200" && no == No::Silent && (text == "{}" || text.contains("0.00")),
            "{story}: {text}"
        ),
        other => panic!("{story}: {other} {text}"),
    }
}

#[test]
fn whatever_dqe_looks_at_the_caller_of_both_is_right_and_every_other_combination_is_told() {
    for (carriage, refusal, characters) in CARRIAGES.into_iter().flat_map(|carriage| {
        [
            (carriage, "401", "plain"),
            (carriage, "200", "plain"),
            (carriage, "200", "special"),
        ]
    }) {
        let running = Setup::default()
            .switch(&format!("classic-refusal={refusal}"))
            .switch(&format!("token-characters={characters}"))
            .set("DQE_CARRIAGE", carriage)
            .set("TOKEN_WAIT", "50ms")
            .start();
        running.wait_until_ready();
        let mut good_answers = HashMap::new();
        let mut right = 0;
        // What is refused costs a token, so the good ones come first.
        for good in [true, false] {
            for personality in PERSONALITIES {
                let switch = ("carriage.all", personality);
                running.dqe.sandbox.set_switch(switch.0, switch.1).unwrap();
                for (target, is_documented, no) in PATHS {
                    if is_right(carriage, *is_documented, personality) != good {
                        continue;
                    }
                    for request in [got(target), posted(target, *is_documented)] {
                        let story = format!("{carriage} {refusal} {personality} {request}");
                        let before = running.received().len();
                        let answer = call(running.address, request);
                        if !good {
                            assert_told(&answer, *no, refusal, &story);
                            continue;
                        }
                        right += 1;
                        let text = answer.text();
                        assert_eq!(answer.status, 200, "{story}: {text}");
                        assert!(!text.contains("0.00") && text.len() > 20, "{story}: {text}");
                        let same = good_answers.entry(*target).or_insert_with(|| text.clone());
                        assert_eq!(text, *same, "{story}");
                        let received = running.received();
                        assert_eq!(received.len(), before + 1, "{story}");
                        assert_isolated(&received[before], &story);
                    }
                }
            }
        }
        if carriage == "both" {
            assert_eq!(right, PERSONALITIES.len() * PATHS.len() * 2);
        }
        assert_eq!(running.counters().violations(), 0, "{carriage}");
    }
}

fn carriers(entry: &Entry) -> Vec<Carrier> {
    entry.credentials.iter().map(|one| one.carrier).collect()
}

fn post(target: &str, content_type: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_form_carries_the_token_where_the_caller_had_its_licence_and_nothing_else_changes() {
    let running = Running::start();
    for (target, content_type, body, target_at_dqe, body_at_dqe) in [
        (
            "/TEL/",
            FORM,
            "Tel=%2B33612345678&Licence=OURS&Pays=FRA",
            "/TEL/",
            "Tel=%2B33612345678&Licence={token}&Pays=FRA",
        ),
        (
            "/TEL/",
            "Application/X-WWW-Form-URLencoded; charset=UTF-8",
            "Tel=0612345678&x=+%2540%7C|%E9&&y=",
            "/TEL/",
            "Tel=0612345678&x=+%2540%7C|%E9&&y=&Licence={token}",
        ),
        (
            "/TEL/?licence=OURS",
            FORM,
            "Tel=0612345678",
            "/TEL/?Licence={token}",
            "Tel=0612345678",
        ),
        (
            "/TEL/?licence=OURS&Pays=FRA",
            FORM,
            "LICENCE=&Tel=0612345678&l%69cence=",
            "/TEL/?Pays=FRA",
            "Licence={token}&Tel=0612345678",
        ),
        (
            "/TEL/?Tel=0612345678",
            "text/plain;charset=UTF-8",
            "what&is=this",
            "/TEL/?Tel=0612345678&Licence={token}",
            "what&is=this",
        ),
        (
            "/TEL/?Tel=0612345678",
            "text/plain",
            "Licence=OURS&Pays=FRA",
            "/TEL/?Tel=0612345678",
            "Licence={token}&Pays=FRA",
        ),
        (
            "/TEL/?Tel=0612345678",
            "",
            "Pays=FRA&licence=OURS",
            "/TEL/?Tel=0612345678",
            "Pays=FRA&Licence={token}",
        ),
        (
            "/v1/email/lookup",
            "application/json",
            r#"{"email":"jean.dupont@gmail.com","x":"x&Licence=y"}"#,
            "/v1/email/lookup",
            r#"{"email":"jean.dupont@gmail.com","x":"x&Licence=y"}"#,
        ),
        (
            "/v1/email/lookup?Licence=OURS",
            FORM,
            "email=jean.dupont@gmail.com&licence=OURS",
            "/v1/email/lookup",
            "email=jean.dupont@gmail.com",
        ),
    ] {
        let whole = post(target, content_type, body);
        let (head, _) = whole.split_once("Content-Length").unwrap();
        let (first, second) = body.split_at(body.len() / 2);
        let chunked = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        );
        for request in [whole, chunked] {
            let answer = call(running.address, &request);
            assert_eq!(answer.status, 200, "{body}: {}", answer.text());
            let entry = running.last_received();
            assert_eq!(target_received(&entry), target_at_dqe, "{body}");
            assert_eq!(body_received(&entry), body_at_dqe, "{target}");
            assert_eq!(entry.body_length, entry.body.len() as u64);
        }
    }
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn a_caller_that_asks_before_sending_its_form_is_told_to_go_on() {
    let running = Running::start();
    let mut connection = Connection::open(running.address);
    connection.send(format!(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n\
         Expect: 100-continue\r\nContent-Length: 14\r\n\r\n"
    ));
    assert_eq!(connection.raw_line().unwrap(), "HTTP/1.1 100 Continue");
    assert_eq!(connection.raw_line().unwrap(), "");
    connection.send("Tel=0612345678");
    assert_eq!(connection.answer().status, 200);
    let sent = body_received(&running.last_received());
    assert_eq!(sent, "Tel=0612345678&Licence={token}");
}

#[test]
fn a_form_that_stops_coming_is_the_callers_timeout_and_nothing_is_sent() {
    let running = Setup::default()
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "300ms")
        .start();
    let mut connection = Connection::open(running.address);
    connection.send(format!(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 99\r\n\r\nTel="
    ));
    let answer = connection.answer();
    let code = answer.json()["code"].as_str().map(str::to_owned);
    assert_eq!(
        (answer.status, code.as_deref()),
        (408, Some("caller_timeout"))
    );
    assert!(running.received().is_empty());
}

#[test]
fn a_token_of_awkward_characters_arrives_whole_in_query_and_form() {
    let running = Setup::default()
        .switch("token-characters=special")
        .set("DQE_CARRIAGE", "licence")
        .start();
    let answer = running.get("/TEL/?Tel=0612345678&Licence=OURS");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(carriers(&running.last_received()), [Carrier::Query]);
    let answer = call(running.address, post("/TEL/", FORM, "Tel=0612345678"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(carriers(&running.last_received()), [Carrier::Body]);
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn a_form_longer_than_the_proxy_reads_is_refused_before_anything_is_sent() {
    for carriage in CARRIAGES {
        let running = Setup::default().set("DQE_CARRIAGE", carriage).start();
        let most = format!("Tel=0612345678&x={}", "y".repeat(65_536 - 17));
        let answer = call(running.address, post("/TEL/", FORM, &most));
        assert_eq!(answer.status, 200, "{carriage}: {}", answer.text());
        let before = running.received().len();
        let more = format!("{most}y");
        let whole = post("/TEL/", FORM, &more);
        let chunked = format!(
            "POST /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{more}\r\n0\r\n\r\n",
            more.len()
        );
        for request in [whole, chunked] {
            let answer = call(running.address, request);
            let code = answer.json()["code"].as_str().map(str::to_owned);
            assert_eq!(
                (answer.status, code.as_deref()),
                (413, Some("form_too_large")),
                "{carriage}"
            );
        }
        assert_eq!(running.received().len(), before);
        // What does not say that it is a form, and is too large for one, is streamed.
        let other = post("/TEL/?Tel=0612345678", "text/plain", &more);
        assert_eq!(call(running.address, other).status, 200);
    }
}

#[test]
fn a_route_may_travel_otherwise_than_all_others() {
    let running = Setup::default()
        .set("DQE_CARRIAGE", "header")
        .file("[[route]]\npath = \"/TEL/\"\nscope = \"client_phone\"\ncarriage = \"licence\"\n")
        .start();
    for (target, expected) in [
        ("/TEL/?Tel=0612345678", vec![Carrier::Query]),
        ("/v2/TEL?Tel=0612345678", vec![Carrier::Query]),
        ("/RNVP/?Adresse=x&Pays=FRA", vec![Carrier::Header]),
    ] {
        assert_eq!(running.get(target).status, 200, "{target}");
        assert_eq!(carriers(&running.last_received()), expected, "{target}");
    }
}

#[test]
fn a_token_that_is_a_callers_own_parameter_stays_the_callers() {
    let running = Setup::default().set("DQE_ENABLE", "GDPR_VERIF").start();
    let target = "/GDPR_VERIF/?Phone=33612345678&Token=abc&Pin=1234";
    let _ = running.get(&format!("{target}&Licence=OURS"));
    assert_eq!(target_received(&running.last_received()), target);
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn the_token_in_a_query_is_in_no_log_line() {
    let running = Running::start();
    running.wait_until_ready();
    let _ = running.get("/TEL/?Tel=0612345678&Licence=OURS");
    let token = running.last_received().header_values("authorization")[0].to_vec();
    let token = String::from_utf8(token).unwrap().replace("Bearer ", "");
    running.dqe.pause();
    let failed = running.get("/TEL/?Tel=0612345678&Licence=OURS");
    assert!(!failed.text().contains(&token), "{}", failed.text());
    crate::support::eventually("both calls are logged", || {
        running.log_lines("/TEL/").len() == 2
    });
    for line in running.log_lines("/TEL/") {
        let line = line.to_string();
        assert!(
            !line.contains(&token[..12]) && !line.contains("Licence"),
            "{line}"
        );
    }
}
