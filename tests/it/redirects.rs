//! Redirects of DQE to itself: followed for a caller that only reads, told to
//! the others so that they stay on the proxy; the token goes nowhere else.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::{Running, Scripted, Setup, call, eventually, target_received};

/// A server that answers each path with what `place` makes of it and of the
/// server's own authority, as a redirect with `status`; where that is `None`,
/// with the target it was asked for.
fn redirecting(
    status: &'static str,
    place: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |head, stream| {
        let target = head.split(' ').nth(1).unwrap();
        let host = head.split_once("host: ").unwrap().1;
        let host = host.split_once("\r\n").unwrap().0;
        let (line, fields, body) = match place(target, host) {
            Some(place) => (status, format!("Location: {place}\r\n"), "elsewhere"),
            None => ("200 OK", String::new(), target),
        };
        let body = if head.starts_with("HEAD ") { "" } else { body };
        let answer = format!(
            "HTTP/1.1 {line}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    })
}

fn in_front_of(scripted: &Scripted) -> Running {
    let running = Setup::default()
        .server(scripted.url())
        .set("DQE_ENABLE", "GDPR_MSG")
        .start();
    running.wait_until_ready();
    running
}

/// Targets received, with `{token}` for the token of the field beside it.
fn targets(scripted: &Scripted) -> Vec<String> {
    let heads = scripted.heads();
    let named = heads.iter().map(|head| {
        let target = head.split(' ').nth(1).unwrap();
        let token = head
            .split_once("authorization: Bearer ")
            .and_then(|(_, rest)| rest.split_once("\r\n"))
            .map_or("", |(token, _)| token);
        target.replace(token, "{token}")
    });
    named.collect()
}

#[test]
fn a_caller_that_follows_nothing_gets_the_good_answer_for_a_path_without_its_slash() {
    let running = Setup::default().switch("slash-redirect=on").start();
    running.wait_until_ready();
    for (target, arrives, word) in [
        (
            "/TEL?Tel=0612345678&Pays=FRA",
            "/TEL/?Tel=0612345678&Pays=FRA&Licence={token}",
            "MOBILE",
        ),
        (
            "/TEL?Licence=OURS&Tel=0612345678",
            "/TEL/?Licence={token}&Tel=0612345678",
            "MOBILE",
        ),
        (
            "/SINGLEV2?Pays=FRA&Licence=&Adresse=5%20rue%20des%20pyr",
            "/SINGLEV2/?Pays=FRA&Licence={token}&Adresse=5%20rue%20des%20pyr",
            "RUE DES PYRENEES",
        ),
        (
            "/dqeemaillookup?Email=jean.dupont%2540gmail.com&x=+1|2%7C%E9&&y=",
            "/dqeemaillookup/?Email=jean.dupont%2540gmail.com&x=+1|2%7C%E9&&y=&Licence={token}",
            "IdError",
        ),
    ] {
        let before = running.received().len();
        let request = format!("GET {target} HTTP/1.0\r\n\r\n");
        let answer = call(running.address, request);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert!(answer.text().contains(word), "{target}: {}", answer.text());
        assert_eq!(answer.field("location"), None);
        let received = &running.received()[before..];
        assert_eq!(received.len(), 2, "{target}");
        assert_eq!(target_received(&received[1]), arrives);
    }
    assert_eq!(running.counters().violations(), 0);
    assert_eq!(
        running.metric("dqe_proxy_redirects_followed_total{route=\"/TEL/\"}"),
        Some(2.0)
    );
    eventually("the calls are logged with their redirect", || {
        let lines = running.log_lines("/TEL/");
        lines.len() == 2
            && lines.iter().all(|line| {
                line["redirects"] == 1 && line["attempts"] == 2 && line["status"] == 200
            })
    });
}

#[test]
fn the_same_is_true_of_head_and_over_https() {
    let running = Setup::default().https().switch("slash-redirect=on").start();
    running.wait_until_ready();
    let mut connection = crate::support::Connection::open(running.address);
    connection.send("HEAD /TEL?Tel=0612345678 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.head_answer().status, 200);
    connection.send_get("/TEL?Tel=0612345678");
    assert!(connection.answer().text().contains("MOBILE"));
    let received = running.received();
    let methods: Vec<_> = received.iter().map(|entry| entry.method.as_ref()).collect();
    assert_eq!(methods, [&b"HEAD"[..], b"HEAD", b"GET", b"GET"]);
    let first = received[0].connection;
    assert!(
        received.iter().all(|entry| entry.connection == first),
        "the redirect's connection carries the next request"
    );
}

#[test]
fn a_relayed_call_is_redirected_like_any_other() {
    let running = Setup::default()
        .switch("slash-redirect=on")
        .set("RELAY_PATHS", "/dqe.php,/Dqe.asmx/Call")
        .start();
    running.wait_until_ready();
    for (path, media_type, body) in [
        (
            "/dqe.php",
            "application/x-www-form-urlencoded",
            "url=TEL%3FTel%3D0612345678%26Licence%3D",
        ),
        (
            "/Dqe.asmx/Call",
            "application/json",
            r#"{"url":"TEL?Tel=0612345678&Licence="}"#,
        ),
    ] {
        let before = running.received().len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = call(running.address, request);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.text().contains("MOBILE"), "{}", answer.text());
        let received = &running.received()[before..];
        assert_eq!(received.len(), 2, "{path}");
        assert_eq!(
            target_received(&received[1]),
            "/TEL/?Tel=0612345678&Licence={token}"
        );
    }
}

#[test]
fn a_redirect_is_followed_in_whatever_way_it_names_the_server() {
    for (place, arrives) in [
        ("http://HOST/TEL/?Tel=1", "/TEL/?Tel=1&Licence={token}"),
        ("//HOST/TEL/?Tel=1", "/TEL/?Tel=1&Licence={token}"),
        ("/TEL/?Tel=1", "/TEL/?Tel=1&Licence={token}"),
        ("../TEL/?Tel=1", "/TEL/?Tel=1&Licence={token}"),
        ("./../x/../TEL/?Tel=1#part", "/TEL/?Tel=1&Licence={token}"),
        ("/TEL/#part?Tel=1", "/TEL/?Licence={token}"),
        ("?Tel=2", "/v1/TEL?Tel=2&Licence={token}"),
        (
            "/TEL/?licence=OLD&Tel=1&Licence=x",
            "/TEL/?Licence={token}&Tel=1",
        ),
        // This path carries the token in the header alone.
        (
            "/v1/phone/lookup?phone=1&Licence=OLD",
            "/v1/phone/lookup?phone=1",
        ),
    ] {
        for status in ["301 A", "302 A", "307 A", "308 A"] {
            let scripted = redirecting(status, move |target, host| {
                let is_first = target.starts_with("/v1/TEL?Tel=1&");
                is_first.then(|| place.replace("HOST", host))
            });
            let running = in_front_of(&scripted);
            let answer = running.get("/v1/TEL?Tel=1");
            assert_eq!(answer.status, 200, "{place}: {}", answer.text());
            assert_eq!(
                targets(&scripted),
                ["/v1/TEL?Tel=1&Licence={token}", arrives],
                "{place}"
            );
        }
    }
}

/// Each is the caller's to deal with: told in a way that keeps it on the proxy
/// where it leads to the server, as it is where it does not.
#[test]
fn what_leads_anywhere_else_is_not_followed_and_takes_no_token_along() {
    let other = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let elsewhere = other.url().strip_prefix("http://").unwrap().to_owned();
    for (place, told) in [
        ("http://ELSEWHERE/TEL/?Tel=1", "http://ELSEWHERE/TEL/?Tel=1"),
        ("//ELSEWHERE/TEL/", "//ELSEWHERE/TEL/"),
        ("https://HOST/TEL/", "https://HOST/TEL/"),
        ("http://user@HOST/TEL/", "http://user@HOST/TEL/"),
        ("http://HOST@ELSEWHERE/TEL/", "http://HOST@ELSEWHERE/TEL/"),
        (
            "http://HOST.evil.example/TEL/",
            "http://HOST.evil.example/TEL/",
        ),
        ("http://127.0.0.1/TEL/", "http://127.0.0.1/TEL/"),
        ("http:/TEL/", "http:/TEL/"),
        ("/\\ELSEWHERE/TEL/", "/\\ELSEWHERE/TEL/"),
        // The server itself, but nothing this call may ask for.
        (
            "http://HOST/oauth/access_token/?x=1",
            "/oauth/access_token/?x=1",
        ),
        ("../oauth/access_token/", "../oauth/access_token/"),
        ("/%6fauth/access_token/", "/%6fauth/access_token/"),
        ("http://HOST/RNVP/?Tel=1&Licence=OLD", "/RNVP/?Tel=1"),
        ("http://HOST/v1/email/lookup", "/v1/email/lookup"),
        ("http://HOST/unknown/", "/unknown/"),
        ("http://HOST/", "/"),
        ("http://HOST//TEL/", "http://HOST//TEL/"),
        ("http://HOST/TEL;x/", "/TEL;x/"),
        ("http://HOST/TEL/\r\nLocation: /TEL/", ""),
    ] {
        let name = |place: &str, host: &str, elsewhere: &str| {
            place.replace("HOST", host).replace("ELSEWHERE", elsewhere)
        };
        let at = elsewhere.clone();
        let scripted = redirecting("302 Found", move |_, host| Some(name(place, host, &at)));
        let running = in_front_of(&scripted);
        let answer = running.get("/TEL?Tel=1");
        assert_eq!(answer.status, 302, "{place}: {}", answer.text());
        if !told.is_empty() {
            let host = scripted.url().strip_prefix("http://").unwrap();
            let told = name(told, host, &elsewhere);
            assert_eq!(answer.field("location"), Some(told), "{place}");
        }
        assert_eq!(scripted.heads().len(), 1, "{place}");
    }
    assert_eq!(other.heads(), [""; 0]);
}

#[test]
fn a_303_is_the_callers_to_follow_and_so_is_a_redirect_without_a_place() {
    for status in ["303 See Other", "300 Choices"] {
        let scripted = redirecting(status, |_, host| Some(format!("http://{host}/TEL/?Tel=2")));
        let answer = in_front_of(&scripted).get("/TEL/?Tel=1");
        assert_eq!(answer.status.to_string(), status[..3]);
        assert_eq!(answer.field("location").as_deref(), Some("/TEL/?Tel=2"));
        assert_eq!(scripted.heads().len(), 1);
    }
    let scripted = Scripted::answering("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nok");
    let answer = in_front_of(&scripted).get("/TEL/?Tel=1");
    assert_eq!((answer.status, answer.text().as_str()), (302, "ok"));
}

/// A server that has redirected may have acted all the same.
#[test]
fn what_may_act_is_told_of_a_redirect_and_sent_once() {
    let post =
        "POST /TEL?Tel=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nx=1";
    let empty =
        "POST /TEL?Tel=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let with_body =
        "GET /TEL?Tel=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nx=1";
    let message = "GET /GDPR_MSG?Phone=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let head = "HEAD /GDPR_MSG?Phone=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let delete = "DELETE /TEL?Tel=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for request in [post, empty, with_body, message, head, delete] {
        for status in ["301 Moved", "302 Found", "307 There", "308 There"] {
            let scripted = redirecting(status, |target, host| {
                Some(format!("http://{host}{}", target.replacen('?', "/?", 1)))
            });
            let running = in_front_of(&scripted);
            let mut connection = crate::support::Connection::open(running.address);
            connection.send(request);
            let answer = if request.starts_with("HEAD") {
                connection.head_answer()
            } else {
                connection.answer()
            };
            assert_eq!(answer.status.to_string(), status[..3], "{request}");
            let place = answer.field("location").unwrap();
            assert!(
                matches!(&place[..], "/TEL/?Tel=1" | "/GDPR_MSG/?Phone=1"),
                "{request}: {place}"
            );
            assert_eq!(scripted.heads().len(), 1, "{request}");
        }
    }
}

#[test]
fn a_form_is_told_the_place_on_the_proxy_without_the_token() {
    let running = Setup::default().switch("slash-redirect=on").start();
    running.wait_until_ready();
    for (target, place) in [
        ("/TEL?Tel=0612345678", "/TEL/?Tel=0612345678"),
        ("/TEL?Licence=OURS&Tel=06", "/TEL/?Tel=06"),
        ("/TEL?Licence=OURS", "/TEL/"),
        ("/TEL", "/TEL/"),
    ] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nx=1"
        );
        let answer = call(running.address, request);
        assert_eq!(answer.status, 301, "{target}");
        assert_eq!(answer.field("location").as_deref(), Some(place));
    }
}

/// ESTOCADE and GDPR_MSG have one scope: a lookup never becomes an SMS, and
/// what may have sent one asks nothing more.
#[test]
fn no_redirect_leads_a_call_to_a_path_that_acts_or_away_from_one() {
    for (target, place) in [
        ("/ESTOCADE/?Nom=x", "/GDPR_MSG/?Phone=1"),
        ("/GDPR_MSG/?Phone=1", "/ESTOCADE/?Nom=x"),
    ] {
        let scripted = redirecting("307 There", move |_, host| {
            Some(format!("http://{host}{place}"))
        });
        let answer = in_front_of(&scripted).get(target);
        assert_eq!(answer.status, 307);
        assert_eq!(answer.field("location").as_deref(), Some(place));
        assert_eq!(scripted.heads().len(), 1);
    }
}

/// What nobody reads of a redirect is read here, as far as it has come.
#[test]
fn a_redirects_body_costs_no_connection_unless_it_is_large() {
    for (size, is_kept) in [(0, true), (200, true), (15_000, true), (100_000, false)] {
        let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
        let seen = Arc::clone(&ports);
        let scripted = Scripted::start(move |head, stream| {
            let port = stream.get_ref().peer_addr().unwrap().port();
            seen.lock().unwrap().push(port);
            let answer = if head.starts_with("GET /TEL/") {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()
            } else {
                format!(
                    "HTTP/1.1 301 Moved\r\nLocation: /TEL/\r\nContent-Length: {size}\r\n\r\n{}",
                    "x".repeat(size)
                )
            };
            stream.get_mut().write_all(answer.as_bytes()).is_ok()
        });
        let running = in_front_of(&scripted);
        assert_eq!(running.get("/TEL").text(), "ok");
        assert_eq!(running.get("/TEL/").text(), "ok");
        let ports = ports.lock().unwrap();
        assert_eq!(ports[0] == ports[1], is_kept, "{size}");
        assert_eq!(ports.len(), 3, "{size}");
    }
}

#[test]
fn a_redirect_in_a_circle_is_a_clear_502() {
    let to_itself = redirecting("302 Found", |target, host| {
        Some(format!("http://{host}{target}"))
    });
    let there_and_back = redirecting("301 Moved", |target, _| {
        let (path, query) = target.split_once('?').unwrap();
        let path = if path == "/TEL" { "/TEL/" } else { "/TEL" };
        // The order of a licence among the others tells no circle from a way.
        Some(format!("{path}?{query}"))
    });
    for (scripted, calls) in [(to_itself, 1), (there_and_back, 2)] {
        let running = in_front_of(&scripted);
        let answer = running.get("/TEL?Tel=1");
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.json()["code"], "redirect_loop");
        assert_eq!(answer.field("location"), None);
        assert_eq!(scripted.heads().len(), calls);
        eventually("it is logged", || {
            running
                .log_lines("/TEL/")
                .iter()
                .any(|line| line["code"] == "redirect_loop")
        });
    }
}

/// The caller's base is the target it asked for, not the last one in the chain.
#[test]
fn a_chain_without_end_is_handed_to_the_caller_after_three() {
    let scripted = redirecting("302 Found", |target, _| {
        let number = target.split_once("n=").unwrap().1;
        let number: u32 = number.split('&').next().unwrap().parse().unwrap();
        Some(format!(
            "{}/TEL?n={}",
            if number == 0 { "/v1" } else { "." },
            number + 1
        ))
    });
    let running = in_front_of(&scripted);
    let answer = running.get("/TEL/?n=0");
    assert_eq!(answer.status, 302);
    assert_eq!(answer.field("location").as_deref(), Some("/v1/TEL?n=4"));
    assert_eq!(
        targets(&scripted),
        [
            "/TEL/?n=0&Licence={token}",
            "/v1/TEL?n=1&Licence={token}",
            "/v1/TEL?n=2&Licence={token}",
            "/v1/TEL?n=3&Licence={token}"
        ]
    );
}

#[test]
fn a_chain_of_three_reaches_its_end() {
    let scripted = redirecting("308 There", |target, _| {
        let number: u32 = target[8..9].parse().unwrap();
        (number < 3).then(|| format!("/TEL/?n={}", number + 1))
    });
    let answer = in_front_of(&scripted).get("/TEL/?n=0");
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("/TEL/?n=3&"), "{}", answer.text());
}

/// A refusal at the second place is replayed there, with the newer token, and
/// the whole of it under one total time-out.
#[test]
fn a_dead_token_is_noticed_where_the_redirect_led() {
    let running = Setup::default().switch("slash-redirect=on").start();
    running.wait_until_ready();
    assert_eq!(running.get("/TEL?Tel=0612345678").status, 200);
    running.dqe.sandbox.revoke_all_tokens();
    let before = running.received().len();
    let answer = running.get("/TEL?Tel=0612345678");
    assert!(answer.text().contains("MOBILE"), "{}", answer.text());
    let received = &running.received()[before..];
    let paths: Vec<_> = received
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.target[..5]).into_owned())
        .collect();
    assert_eq!(paths, ["/TEL?", "/TEL/", "/TEL/"]);
}

#[test]
fn the_time_that_redirects_take_counts_as_the_calls_own() {
    let scripted = Scripted::start(|head, stream| {
        std::thread::park_timeout(std::time::Duration::from_millis(400));
        let number: u32 = head[12..13].parse().unwrap();
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: /TEL/?n={}\r\nContent-Length: 0\r\n\r\n",
            number + 1
        );
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("UPSTREAM_TOTAL_TIMEOUT", "1s")
        .start();
    running.wait_until_ready();
    let answer = running.get("/TEL/?n=0");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(answer.json()["code"], "total_timeout");
}

/// Everywhere in the fields of a redirect, whoever follows it.
#[test]
fn the_token_is_in_no_redirect_that_a_caller_sees() {
    let scripted = Scripted::start(|head, stream| {
        let target = head.split(' ').nth(1).unwrap();
        let (_, token) = target.split_once("Licence=").unwrap();
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: https://login.example/?back=%2FTEL%3FLicence%3D{token}&Licence={token}&t={token}#{token}\r\n\
             Link: <{target}>\r\nContent-Length: 0\r\n\r\n"
        );
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let answer = in_front_of(&scripted).get("/TEL?Tel=1");
    assert_eq!(answer.status, 302);
    let place = answer.field("location").unwrap();
    assert!(
        place.starts_with("https://login.example/?back=%2FTEL%3FLicence%3D***"),
        "{place}"
    );
    assert!(place.contains("&t=***"), "{place}");
    for (name, value) in &answer.fields {
        assert!(!value.contains("TKscripted"), "{name}: {value}");
    }
}
