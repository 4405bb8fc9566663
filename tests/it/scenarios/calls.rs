//! What callers send and how they behave: scenarios 3 to 9.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dqe_proxy::sandbox::{CredentialKind, Scope, Standing};

use super::{PHONE, post};
use crate::support::{
    Connection, PATIENCE, Running, Setup, body_received, call, eventually, target_received,
};

/// Scenario 3.
#[test]
fn whatever_licence_a_caller_sends_dqe_gets_the_token_in_its_place() {
    for (carriage, in_parameter) in [("header", false), ("licence", true), ("both", true)] {
        let running = Setup::default().set("DQE_CARRIAGE", carriage).start();
        for (query, form) in [
            ("Tel=0612345678&Licence=STALE&Pays=FRA", None),
            ("Licence=&Tel=0612345678", None),
            ("Tel=0612345678", None),
            ("Tel=0612345678&licence=stale", None),
            ("Licence=STALE&Tel=0612345678&Licence=OTHER", None),
            ("", Some("Tel=0612345678&Licence=STALE&Pays=FRA")),
            ("", Some("licence=&Tel=0612345678")),
            ("", Some("Tel=0612345678")),
            ("Licence=STALE", Some("Tel=0612345678&LICENCE=OTHER")),
            (
                "licence=&Pays=FRA",
                Some("Licence=A&Tel=0612345678&Licence=B"),
            ),
        ] {
            let story = format!("{carriage} {query} {form:?}");
            let target = format!("/TEL/?{query}");
            let answer = match form {
                None => running.get(&target),
                Some(form) => call(running.address, post(target.trim_end_matches('?'), form)),
            };
            assert!(
                answer.text().contains("MOBILE"),
                "{story}: {}",
                answer.text()
            );
            let entry = running.last_received();
            assert_eq!(entry.has_licence_parameter(), in_parameter, "{story}");
            let places = usize::from(carriage != "licence") + usize::from(in_parameter);
            assert_eq!(entry.credentials.len(), places, "{story}");
            for presented in &entry.credentials {
                assert_eq!(
                    presented.kind,
                    CredentialKind::Token(Standing::Live),
                    "{story}"
                );
            }
            let sent = [&entry.target[..], &entry.body[..]].concat();
            let sent = String::from_utf8(sent).unwrap().to_lowercase();
            assert_eq!(
                sent.matches("licence=").count(),
                usize::from(in_parameter),
                "{story}"
            );
        }
        assert_eq!(running.counters().violations(), 0, "{carriage}");
    }
}

/// Scenario 4.
#[test]
fn every_byte_of_a_query_or_a_form_reaches_dqe_as_it_was_sent() {
    for (carriage, token) in [("header", ""), ("both", "&Licence={token}")] {
        let running = Setup::default().set("DQE_CARRIAGE", carriage).start();
        running.wait_until_ready();
        for (path, text, word) in [
            ("/DQEEMAILLOOKUP/", "Email=a%2540b.fr", "a%40b.fr"),
            ("/TEL/", "Tel=+33%206%2012%2034%2056%2078", "MOBILE"),
            (
                "/RNVP/",
                "Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7CPARIS&Pays=FRA",
                "DES PYRENEES",
            ),
            (
                "/RNVP/",
                "Adresse=%7c5+rue%20des+pyr%C3%A9n%c3%a9es||75020|PARIS&Pays=FRA",
                "DES PYRENEES",
            ),
            (
                "/RNVP/",
                "Adresse=|5+rue+des+pyrénées||75020|PARIS&&Pays=FRA&x=&y",
                "DES PYRENEES",
            ),
            (
                "/FIRSTNAMESUGGEST/",
                "Firstname=h%E9l%E8ne&%E9=%&a=%zz",
                "suggest",
            ),
        ] {
            let story = format!("{carriage} {path}?{text}");
            let answer = running.get(&format!("{path}?{text}"));
            assert_eq!(answer.status, 200, "{story}: {}", answer.text());
            assert!(answer.text().contains(word), "{story}: {}", answer.text());
            let target = target_received(&running.last_received());
            assert_eq!(target, format!("{path}?{text}{token}"));
            let answer = call(running.address, post(path, text));
            assert!(answer.text().contains(word), "{story}: {}", answer.text());
            let entry = running.last_received();
            assert_eq!(target_received(&entry), path);
            assert_eq!(body_received(&entry), format!("{text}{token}"));
        }
        assert_eq!(running.counters().violations(), 0);
    }
    // A form may hold what no query can.
    let running = Running::start();
    let spaces = "Tel=+33 6 12 34 56 78&Licence=OURS";
    assert!(
        call(running.address, post("/TEL/", spaces))
            .text()
            .contains("MOBILE")
    );
    let body = body_received(&running.last_received());
    assert_eq!(body, "Tel=+33 6 12 34 56 78&Licence={token}");
}

/// Scenario 5.
#[test]
fn a_jsonp_call_comes_back_in_its_own_function_and_an_error_is_no_script() {
    let running = Running::start();
    let name = "jQuery36109314532896072378_1795622578687";
    let ask = |start: &str, text: &str| {
        format!("/SINGLEV2/?{start}={name}&Adresse={text}&Pays=FRA&Licence=OURS&_=1795622578703")
    };
    let found = running.get(&ask("callback", "5%20rue%20des%20pyr"));
    let empty = running.get(&ask("callback", "zzzzzz"));
    let expected = ask("callback", "zzzzzz").replace("OURS", "{token}");
    assert_eq!(target_received(&running.last_received()), expected);
    for (answer, label) in [
        (found, Some("5 RUE DES PYRENEES|75020 PARIS")),
        (empty, None),
    ] {
        assert_eq!(
            answer.field("content-type").as_deref(),
            Some("application/javascript")
        );
        let text = answer.text();
        let argument = text
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('('));
        let argument = argument
            .and_then(|rest| rest.strip_suffix(')'))
            .expect(&text);
        // DQE's documents travel as strings.
        let document: String = serde_json::from_str(argument).unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["1"]["label"].as_str(), label);
    }
    running.dqe.sandbox.set_fault("business:reset").unwrap();
    let unknown = ask("callback", "5").replace("SINGLEV2", "NOSUCH");
    for (target, status) in [(ask("callback", "5"), 502), (unknown, 404)] {
        let answer = running.get(&target);
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.field("content-type").as_deref(),
            Some("application/problem+json")
        );
        assert!(!answer.text().contains("jQuery"), "{}", answer.text());
    }
}

/// Scenario 6. As jQuery writes a form, and as the plugin writes JSON for ASP.NET.
#[test]
fn a_page_posts_the_url_it_wants_to_its_relay_and_gets_what_dqe_answers() {
    let running = Setup::default()
        .set("RELAY_PATHS", "/dqe.php,/dqe.asmx/Call")
        .start();
    let url =
        "RNVP/?Adresse=%7C5%20rue%20des%20pyr%C3%A9n%C3%A9es%7C%7C75020%7CPARIS&Pays=FRA&Licence=";
    let expected = format!("/{url}{{token}}");
    let form = "url=RNVP%2F%3FAdresse%3D%257C5%2520rue%2520des%2520pyr%25C3%25A9n%25C3%25A9es\
        %257C%257C75020%257CPARIS%26Pays%3DFRA%26Licence%3D";
    let answer = call(running.address, post("/dqe.php", form));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["1"]["Voie"], "DES PYRENEES");
    assert_eq!(target_received(&running.last_received()), expected);

    let body = serde_json::json!({ "url": url }).to_string();
    let request = format!(
        "POST /dqe.asmx/Call HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let wrapped = call(running.address, request);
    assert_eq!(wrapped.status, 200, "{}", wrapped.text());
    assert_eq!(wrapped.json()["d"].as_str(), Some(answer.text().as_str()));
    assert_eq!(target_received(&running.last_received()), expected);

    for (url, status) in [
        ("https%3A%2F%2Fevil.example%2FTEL%2F", 400),
        ("%2Foauth%2Faccess_token%2F", 404),
    ] {
        let answer = call(running.address, post("/dqe.php", &format!("url={url}")));
        assert_eq!(answer.status, status, "{url}: {}", answer.text());
    }
    assert_eq!(running.received().len(), 2);
    assert_eq!(running.counters().violations(), 0);
}

/// Scenario 7. These callers send no slash and follow nothing.
#[test]
fn a_path_without_its_slash_is_answered_and_not_redirected() {
    let running = Setup::default().switch("slash-redirect=on").start();
    running.wait_until_ready();
    let mut kept = Connection::open(running.address);
    for (sent, arrives, word) in [
        (
            "/CP?CodePostal=75020&Pays=FRA&Alpha=True",
            "/CP/?CodePostal=75020&Pays=FRA&Alpha=True&Licence={token}",
            "PARIS",
        ),
        (
            "/TEL?Tel=+33%206%2012%2034%2056%2078&Licence=OURS&Format=0",
            "/TEL/?Tel=+33%206%2012%2034%2056%2078&Licence={token}&Format=0",
            "MOBILE",
        ),
        (
            "/SINGLEV2?Pays=FRA&Licence=OURS&Adresse=5%20rue%20des%20pyr%C3%A9",
            "/SINGLEV2/?Pays=FRA&Licence={token}&Adresse=5%20rue%20des%20pyr%C3%A9",
            "PYRENEES",
        ),
    ] {
        let before = running.received().len();
        kept.send_get(sent);
        let answer = kept.answer();
        assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
        assert!(answer.text().contains(word), "{sent}: {}", answer.text());
        let received = running.received().split_off(before);
        let statuses: Vec<_> = received.iter().map(|entry| entry.status).collect();
        assert_eq!(statuses, [Some(301), Some(200)], "{sent}");
        assert_eq!(target_received(&received[1]), arrives);
    }
    assert_eq!(running.counters().violations(), 0);
}

/// Scenario 8.
#[test]
fn thirty_keystrokes_answered_out_of_order_are_each_answered_rightly() {
    let typed = "5 rue des pyrenees 75020 paris";
    assert_eq!(typed.len(), 30);
    let running = Setup::default().token_life(Duration::from_secs(2)).start();
    running.wait_until_ready();
    let before = running.counters().tokens_issued(Scope::Address);
    running
        .dqe
        .sandbox
        .set_fault("business:slow=500ms,times=10")
        .unwrap();
    let idle = Mutex::new(Vec::new());
    let answered = Mutex::new(Vec::new());
    let begun = Instant::now();
    let keystroke = |number: usize| {
        let due = begun + Duration::from_secs(2) * u32::try_from(number).unwrap() / 30;
        while Instant::now() < due {
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        // A browser takes a connection that has nothing to do, or opens one.
        let kept = idle.lock().unwrap().pop();
        let mut connection = kept.unwrap_or_else(|| Connection::open(running.address));
        let text = typed[..number].replace(' ', "%20");
        connection.send_get(&format!(
            "/SINGLEV2/?Adresse={text}&Pays=FRA&Instance={number}"
        ));
        let answer = connection.answer();
        answered.lock().unwrap().push(number);
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        assert_eq!(
            answer.json()["1"]["Instance"],
            number.to_string(),
            "not its own answer"
        );
        idle.lock().unwrap().push(connection);
    };
    std::thread::scope(|scope| {
        let keys: Vec<_> = (1..=30)
            .map(|number| scope.spawn(move || keystroke(number)))
            .collect();
        for key in keys {
            key.join().unwrap();
        }
    });
    assert!(!answered.lock().unwrap().is_sorted(), "all in order");
    assert_eq!(running.received().len(), 30);
    assert_eq!(running.counters().violations(), 0);
    assert!(
        running.counters().tokens_issued(Scope::Address) > before,
        "no renewal meanwhile"
    );
}

/// Scenario 9.
#[test]
fn a_caller_that_gives_up_after_a_second_ends_the_call_to_dqe_and_its_connection() {
    let running = Setup::default().set("LISTENER_THREADS", "1").start();
    running.wait_until_ready();
    assert_eq!(running.get(PHONE).status, 200);
    let kept = running.last_received().connection;
    let slow = running.dqe.sandbox.set_fault("business:slow=60s").unwrap();
    let mut caller = TcpStream::connect_timeout(&running.address, PATIENCE).unwrap();
    caller
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    std::io::Write::write_all(
        &mut caller,
        format!("GET {PHONE} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let nothing = caller.read(&mut [0]).unwrap_err();
    assert!(matches!(
        nothing.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    eventually("DQE has the call", || running.received().len() == 2);
    assert!(!running.last_received().abandoned);
    drop(caller);
    // Long before the answer.
    eventually("DQE sees the call abandoned", || {
        running.last_received().abandoned
    });
    assert_eq!(running.last_received().connection, kept);
    running.dqe.sandbox.clear_fault(slow);
    assert!(running.get(PHONE).text().contains("MOBILE"));
    assert_ne!(
        running.last_received().connection,
        kept,
        "the answer of the call before may come on it"
    );
    assert_eq!(running.received().len(), 3);
    eventually("it is logged as the caller's doing", || {
        running
            .log_lines("/TEL/")
            .iter()
            .any(|line| line["code"] == "caller_gone")
    });
}
