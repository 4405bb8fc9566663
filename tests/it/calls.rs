//! A legacy call goes in without a credential, and the right one reaches DQE.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Connection, Running, Scripted, Setup, Stopwatch, call, eventually, target_received,
};

/// Path and query of a caller, the scope its token must have, and a word of a right answer.
const FAMILIES: &[(&str, &str, &str)] = &[
    (
        "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA",
        "client_address",
        "RUE DES PYRENEES",
    ),
    (
        "/RNVP/?Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7CPARIS&Pays=FRA",
        "client_address",
        "75020",
    ),
    (
        "/TEL/?Tel=0612345678&Pays=FRA&Format=0",
        "client_phone",
        "MOBILE",
    ),
    (
        "/DQEEMAILLOOKUP/?Email=jean.dupont%2540gmail.com",
        "client_email",
        "IdError",
    ),
    ("/FIRSTNAMESUGGEST/?Firstname=ali", "client_civility", "ALI"),
    (
        "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y",
        "client_b2b",
        "BOULANGERIE",
    ),
    (
        "/SEARCH/?LastName=DUPONT&FirstName=JEAN&Address=5%20RUE%20DES%20PYRENEES&PostalCode=75020&City=PARIS&Version=2",
        "client_idcheck",
        "FOUND",
    ),
    (
        "/v1/email/lookup?email=jean.dupont@gmail.com",
        "client_email",
        "IdError",
    ),
    (
        "/v1/phone/lookup?phone=0612345678&country=FRA",
        "client_phone",
        "MOBILE",
    ),
];

#[test]
fn every_family_gets_the_token_of_its_own_scope_and_its_query_untouched() {
    let running = Running::start();
    for (target, scope, word) in FAMILIES {
        let answer = running.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert!(answer.text().contains(word), "{target}: {}", answer.text());
        let entry = running.last_received();
        let expected = if target.starts_with("/v1/") {
            (*target).to_owned()
        } else {
            format!("{target}&Licence={{token}}")
        };
        assert_eq!(target_received(&entry), expected);
        let bearers = entry.header_values("authorization");
        assert!(
            matches!(bearers[..], [one] if one.starts_with(b"Bearer TK")),
            "{target}"
        );
        let token_scope = entry.credentials[0].scope.map(|scope| scope.to_string());
        assert_eq!(token_scope.as_deref(), Some(*scope), "{target}");
        assert!(
            entry.violations.is_empty(),
            "{target}: {:?}",
            entry.violations
        );
    }
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn the_callers_licence_never_reaches_dqe_and_every_other_byte_does() {
    let running = Running::start();
    for (sent, expected) in [
        (
            "/TEL/?Tel=0612345678&Licence=OURS&Pays=FRA",
            "/TEL/?Tel=0612345678&Licence={token}&Pays=FRA",
        ),
        (
            "/TEL/?licence=&Tel=0612345678",
            "/TEL/?Licence={token}&Tel=0612345678",
        ),
        (
            "/TEL/?Tel=0612345678&LICENCE=a&Licence=b",
            "/TEL/?Tel=0612345678&Licence={token}",
        ),
        (
            "/TEL/?Tel=0612345678&L%69cence=OURS",
            "/TEL/?Tel=0612345678&Licence={token}",
        ),
        ("/TEL/?Licence=OURS", "/TEL/?Licence={token}"),
        ("/TEL/", "/TEL/?Licence={token}"),
        ("/TEL/?", "/TEL/?Licence={token}"),
        (
            "/DQEEMAILLOOKUP/?Email=a%2540b.fr&x=+1|2%7C%E9&&y=",
            "/DQEEMAILLOOKUP/?Email=a%2540b.fr&x=+1|2%7C%E9&&y=&Licence={token}",
        ),
        ("/tel?Tel=0612345678", "/tel?Tel=0612345678&Licence={token}"),
        (
            "/v1/TEL/?Tel=0612345678",
            "/v1/TEL/?Tel=0612345678&Licence={token}",
        ),
        (
            "/v1/email/lookup?email=a%2540b.fr&Licence=OURS",
            "/v1/email/lookup?email=a%2540b.fr",
        ),
        ("/v1/email/lookup?licence=OURS", "/v1/email/lookup"),
        ("/v1/email/lookup?", "/v1/email/lookup?"),
    ] {
        let _ = running.get(sent);
        assert_eq!(
            target_received(&running.last_received()),
            expected,
            "{sent}"
        );
    }
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn a_body_passes_both_ways_whatever_its_framing() {
    let running = Running::start();
    let body = r#"{"email":"jean.dupont@gmail.com"}"#;
    let head = "POST /v1/email/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let with_length = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let (first, second) = body.split_at(10);
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\nX-Trailer: 1\r\n\r\n",
        first.len(),
        second.len()
    );
    for request in [with_length, chunked] {
        let answer = call(running.address, &request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.text().contains("jean.dupont@gmail.com"),
            "{}",
            answer.text()
        );
        let entry = running.last_received();
        assert_eq!(entry.body, body.as_bytes());
        assert!(entry.violations.is_empty(), "{:?}", entry.violations);
    }
}

#[test]
fn a_body_larger_than_any_buffer_is_streamed() {
    let running = Running::start();
    let mut connection = Connection::open(running.address);
    let size = 8 << 20;
    connection.send(format!(
        "POST /RNVP/ HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    ));
    let block = vec![b'a'; 1 << 16];
    for _ in 0..size / block.len() {
        connection.send(&block);
    }
    let _ = connection.answer();
    assert_eq!(running.last_received().body_length, size as u64);
}

#[test]
fn old_callers_are_served_as_they_expect() {
    let running = Running::start();
    let target = "/TEL/?Tel=0612345678&Pays=FRA";
    let plain = call(running.address, format!("GET {target} HTTP/1.0\r\n\r\n"));
    assert_eq!(plain.status, 200);
    assert!(plain.complete && plain.text().contains("MOBILE"));
    assert_eq!(
        plain.field("transfer-encoding"),
        None,
        "never chunked to HTTP/1.0"
    );

    let mut kept = Connection::open(running.address);
    for _ in 0..3 {
        kept.send(format!(
            "GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ));
        let answer = kept.answer();
        assert_eq!((answer.status, answer.complete), (200, true));
    }

    let mut half_closed = Connection::open(running.address);
    half_closed.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
    half_closed.finish_sending();
    assert!(half_closed.answer().text().contains("MOBILE"));

    let mut posted = Connection::open(running.address);
    posted.send("POST /TEL/ HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 23\r\n\r\nTel=0612345678&Pays=FRA");
    posted.finish_sending();
    assert!(posted.answer().text().contains("MOBILE"));
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let running = Running::start();
    let mut connection = Connection::open(running.address);
    let numbers = ["0612345678", "0712345678", "0112345678"];
    let requests: String = numbers
        .iter()
        .map(|number| format!("GET /TEL/?Tel={number}&Pays=FRA HTTP/1.1\r\nHost: x\r\n\r\n"))
        .collect();
    connection.send(requests);
    for number in numbers {
        assert!(connection.answer().text().contains(number));
    }
}

/// RFC 9112 §9.3.2: who sends requests ahead may have stopped sending and still be
/// there, however many pieces they have come in.
#[test]
fn requests_sent_ahead_one_by_one_are_answered_when_their_caller_has_stopped_sending() {
    let answered = Arc::new(AtomicUsize::new(0));
    let may_be = Arc::clone(&answered);
    let scripted = Scripted::start(move |head, stream| {
        let number = (1..4).find(|number| head.contains(&format!("Tel={number}")));
        while number > Some(may_be.load(Ordering::Relaxed)) {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.get_mut().write_all(answer).is_ok()
    });
    let running = Setup::default().server(scripted.url()).start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    let at_the_server = |count| {
        eventually("the server has it", || scripted.heads().len() == count);
    };
    connection.send_get("/TEL/?Tel=1");
    at_the_server(1);
    connection.send_get("/TEL/?Tel=2");
    answered.store(1, Ordering::Relaxed);
    assert_eq!(connection.answer().text(), "ok");
    at_the_server(2);
    connection.send_get("/TEL/?Tel=3");
    connection.finish_sending();
    answered.store(2, Ordering::Relaxed);
    assert_eq!(connection.answer().text(), "ok");
    at_the_server(3);
    answered.store(3, Ordering::Relaxed);
    assert_eq!(connection.answer().text(), "ok");
}

#[test]
fn head_has_a_head_and_no_body() {
    let running = Running::start();
    let mut connection = Connection::open(running.address);
    connection.send("HEAD /TEL/?Tel=0612345678&Pays=FRA HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.head_answer().status, 200);
    connection.send_get("/TEL/?Tel=0612345678&Pays=FRA");
    assert!(connection.answer().text().contains("MOBILE"));
    // Nothing more is waited for on the connection to DQE either, though a length was told.
    let received = running.received();
    assert_eq!(received[0].connection, received[1].connection);
}

#[test]
fn an_absolute_target_chooses_no_other_host() {
    let running = Running::start();
    let request = "GET http://evil.example/TEL/?Tel=0612345678 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(call(running.address, request).status, 200);
    let entry = running.last_received();
    assert_eq!(
        target_received(&entry),
        "/TEL/?Tel=0612345678&Licence={token}"
    );
    let host = running.dqe.sandbox.address().to_string();
    assert_eq!(entry.header_values("host"), [host.as_bytes()]);
}

#[test]
fn answers_pass_untouched_but_for_what_is_documented() {
    let running = Running::start();
    let answer = running.get("/TEL/?Tel=0612345678&Pays=FRA");
    assert!(answer.field("via").unwrap().ends_with("1.1 dqe-proxy"));
    assert_eq!(answer.field("x-request-id").unwrap().len(), 32);
    let given = call(
        running.address,
        "GET /TEL/?Tel=06 HTTP/1.1\r\nHost: x\r\nX-Request-Id: app-17\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(given.field("x-request-id").as_deref(), Some("app-17"));
    assert_eq!(
        running.last_received().header_values("x-request-id"),
        [b"app-17"]
    );
}

#[test]
fn dqe_over_https_is_verified_and_used() {
    let running = Setup::default().https().start();
    let answer = running.get("/TEL/?Tel=0612345678&Pays=FRA");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn a_server_nobody_vouches_for_gets_no_token() {
    let running = Setup::default()
        .https()
        .set("UPSTREAM_CA_FILES", "")
        .start();
    let answer = running.get("/TEL/?Tel=0612345678&Pays=FRA");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(running.counters().token_requests(), 0);
    assert!(running.received().is_empty());
}

#[test]
fn an_operators_route_extends_the_catalogue() {
    let file = "[[route]]\npath = \"/TEL/\"\nscope = \"client_general\"\n\n[[route]]\npath = \"/beta/*\"\nscope = \"client_email\"\n";
    let running = Setup::default().file(file).start();
    running.wait_until_ready();
    assert_eq!(running.get("/TEL/?Tel=0612345678&Pays=FRA").status, 200);
    let scope = running.last_received().credentials[0]
        .scope
        .map(|scope| scope.to_string());
    assert_eq!(scope.as_deref(), Some("client_general"));
    assert_eq!(
        running.get("/beta/anything?x=1").status,
        404,
        "the fake DQE has no such path"
    );
    assert_eq!(
        String::from_utf8_lossy(&running.last_received().target),
        "/beta/anything?x=1"
    );
}

#[test]
fn paths_with_side_effects_are_off_until_enabled() {
    let target = "/GDPR_MSG/?Phone=0612345678&Custom_sms=x&Country=FRA&Company=ACME";
    let closed = Running::start();
    assert_eq!(closed.get(target).status, 404);
    assert!(closed.received().is_empty());
    let open = Setup::default().set("DQE_ENABLE", "GDPR_MSG").start();
    assert_eq!(open.get(target).status, 200);
}

#[test]
fn a_caller_that_leaves_takes_its_call_along() {
    let running = Setup::default().fault("business:hang").start();
    let mut connection = Connection::open(running.address);
    connection.send_get("/TEL/?Tel=0612345678");
    eventually("DQE has the call", || !running.received().is_empty());
    drop(connection);
    eventually("the call to DQE is abandoned", || {
        running.last_received().abandoned
    });
    eventually("it is logged as the caller's doing", || {
        running
            .log_lines("/TEL/")
            .iter()
            .any(|line| line["code"] == "caller_gone")
    });
}

/// One that keeps its connection has no reason to close its sending side but to
/// leave; one that has said that this is its last request has.
#[test]
fn a_caller_that_closes_its_half_without_a_word_is_taken_for_gone() {
    let running = Setup::default().fault("business:hang").start();
    let mut keeps = Connection::open(running.address);
    keeps.send_get("/TEL/?Tel=0612345678");
    eventually("DQE has the call", || !running.received().is_empty());
    keeps.finish_sending();
    assert!(keeps.is_at_end());
    eventually("the call to DQE is abandoned", || {
        running.last_received().abandoned
    });
}

#[test]
fn a_slow_token_endpoint_is_never_waited_for_while_a_token_lives() {
    let running = Setup::default()
        .set("DQE_SCOPES", "client_phone")
        .token_life(Duration::from_secs(6))
        .start();
    assert_eq!(running.get("/TEL/?Tel=0612345678").status, 200);
    let sandbox = &running.dqe.sandbox;
    sandbox.set_fault("token:hang").unwrap();
    eventually("a renewal waits for the endpoint", || {
        sandbox.faults()[0].hits > 0
    });
    for _ in 0..50 {
        let watch = Stopwatch::start();
        assert_eq!(running.get("/TEL/?Tel=0612345678").status, 200);
        assert!(watch.elapsed() < Duration::from_millis(400));
    }
}
