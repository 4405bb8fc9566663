//! Relay paths: what pages with DQE's plugin post to a page of their own is
//! answered by the proxy, and nothing but DQE's known paths is reached by it.

use std::io::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::support::{
    After, Answer, Connection, Reaction, Recorder, Running, Scripted, Setup, When, call,
    eventually, target_received,
};

const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";
const JSON: &str = "application/json; charset=utf-8";

/// The paths of two home-made pages.
fn setup() -> Setup {
    Setup::default().set("RELAY_PATHS", "/dqe.php,/services/Dqe.asmx/Call")
}

fn request(path: &str, media_type: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n{fields}\
         Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn post(running: &Running, path: &str, media_type: &str, body: &str) -> Answer {
    call(running.address, request(path, media_type, "", body))
}

/// A form as jQuery writes it for `{url: url}`.
fn form(url: &str) -> String {
    let encoded = utf8_percent_encode(url, NON_ALPHANUMERIC).to_string();
    format!("url={}", encoded.replace("%20", "+"))
}

fn json(url: &str) -> String {
    serde_json::json!({ "url": url }).to_string()
}

#[test]
fn a_page_posts_the_url_it_wants_and_gets_what_a_direct_call_brings() {
    let running = setup().start();
    running.wait_until_ready();
    let dqe = running.dqe.sandbox.url();
    let direct = running.get("/TEL/?Tel=0612345678&Pays=FRA");
    for (url, at_dqe) in [
        // The licence field that the plugin leaves empty, or fills.
        (
            "TEL/?Tel=0612345678&Pays=FRA&Licence=".to_owned(),
            "/TEL/?Tel=0612345678&Pays=FRA&Licence={token}",
        ),
        (
            format!("{dqe}/TEL/?Tel=0612345678&Pays=FRA&Licence=OLDCODE"),
            "/TEL/?Tel=0612345678&Pays=FRA&Licence={token}",
        ),
        (
            "/TEL/?licence=OLD&Tel=0612345678&Pays=FRA&LICENCE=OLD".to_owned(),
            "/TEL/?Licence={token}&Tel=0612345678&Pays=FRA",
        ),
        (
            "TEL/?Tel=0612345678&Pays=FRA".to_owned(),
            "/TEL/?Tel=0612345678&Pays=FRA&Licence={token}",
        ),
    ] {
        for (path, media_type, body) in [
            ("/dqe.php", FORM, form(&url)),
            ("/DQE.php/?from=page", FORM, format!("x=1&{}&y", form(&url))),
            ("/dqe.php", JSON, json(&url)),
            ("/dqe.php", "text/plain", form(&url)),
        ] {
            let answer = post(&running, path, media_type, &body);
            assert_eq!(answer.status, 200, "{url}: {}", answer.text());
            assert_eq!(answer.text(), direct.text(), "{url}");
            assert_eq!(
                answer.field("content-type"),
                direct.field("content-type"),
                "{url}"
            );
            let entry = running.last_received();
            assert_eq!(target_received(&entry), at_dqe, "{url}");
            assert_eq!(entry.method, "GET", "{url}");
            assert_eq!(entry.body_length, 0, "{url}");
            for name in ["content-type", "content-length", "transfer-encoding"] {
                assert!(entry.header_values(name).is_empty(), "{url}: {name}");
            }
        }
    }
    assert_eq!(running.counters().violations(), 0);
    eventually("the relayed calls are logged under their route", || {
        let lines = running.log_lines("/TEL/");
        lines.iter().filter(|line| line["method"] == "POST").count() == 16
    });
}

#[test]
fn what_a_page_has_encoded_for_dqe_arrives_as_it_was() {
    let running = setup().start();
    for (url, query) in [
        (
            "RNVP/?Adresse=%7C5%20rue%20des%20Pyr%C3%A9n%C3%A9es%7C%7C75020%7CPARIS&Pays=FRA&Licence=",
            "Adresse=%7C5%20rue%20des%20Pyr%C3%A9n%C3%A9es%7C%7C75020%7CPARIS&Pays=FRA&Licence=",
        ),
        // The e-mail plugin encodes twice.
        (
            "DQEEMAILLOOKUP/?Email=jean%2540gmail.com&Licence=",
            "Email=jean%2540gmail.com&Licence=",
        ),
        (
            "TEL/?Tel=+33612345678&x=a|b%E9&&y=&Licence=",
            "Tel=+33612345678&x=a|b%E9&&y=&Licence=",
        ),
        // Typed into a page that encodes nothing for DQE.
        (
            "TEL/?Tel=06 12 34 56 78&x=l'église&Licence=",
            "Tel=06%2012%2034%2056%2078&x=l'%C3%A9glise&Licence=",
        ),
    ] {
        for body in [(FORM, form(url)), (JSON, json(url))] {
            let answer = post(&running, "/dqe.php", body.0, &body.1);
            assert_eq!(answer.status, 200, "{url}: {}", answer.text());
            let target = target_received(&running.last_received());
            let (_, received) = target.split_once('?').unwrap();
            assert_eq!(received, format!("{query}{{token}}"), "{url}");
        }
    }
}

#[test]
fn an_asmx_path_answers_with_the_document_as_text_in_d() {
    let running = setup().start();
    let url = "RNVP/?Adresse=%7C5%20rue%20des%20pyrenees%7C%7C75020%7CPARIS&Pays=FRA&Licence=";
    let direct = running.get(&format!("/{url}"));
    assert_eq!(direct.status, 200);
    for (media_type, body) in [(JSON, json(url)), (FORM, form(url))] {
        let answer = post(&running, "/services/dqe.asmx/call", media_type, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.field("content-type").unwrap(),
            "application/json; charset=utf-8"
        );
        assert!(answer.complete);
        // What the plugin does: `d` out of the document, then its text parsed.
        let d = answer.json()["d"].as_str().unwrap().to_owned();
        assert_eq!(d, direct.text());
        let document: serde_json::Value = serde_json::from_str(&d).unwrap();
        assert_eq!(document["1"]["Pays"], "FRA");
    }
    // An old caller gets it without chunks, up to the end of the connection.
    let body = json(url);
    let old = call(
        running.address,
        format!(
            "POST /services/dqe.asmx/call HTTP/1.0\r\nContent-Type: {JSON}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    assert_eq!(old.json()["d"], direct.text());
    assert_eq!(old.field("transfer-encoding"), None);
}

#[test]
fn an_answer_in_pieces_is_wrapped_whole_and_one_that_is_cut_is_seen_as_cut() {
    let recorder = Recorder::start();
    let running = setup().server(&recorder.url()).start();
    let post = |expected_status| {
        let answer = post(
            &running,
            "/services/dqe.asmx/call",
            JSON,
            &json("TEL/?Tel=06"),
        );
        assert_eq!(answer.status, expected_status, "{}", answer.text());
        answer
    };
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"x\"\r\n\r\n".to_vec();
    recorder.reacts(Reaction {
        pieces: vec![
            chunked.clone(),
            "5\r\n{\"a\":\r\n".into(),
            "3\r\n\"\\\"\r\n".into(),
            "4\r\n\u{e9}\"}\r\n".into(),
            "1\r\n\n\r\n0\r\n\r\n".into(),
        ],
        ..Reaction::default()
    });
    let answer = post(200);
    assert_eq!(answer.json()["d"], "{\"a\":\"\\\"é\"}\n");
    assert_eq!(answer.field("etag"), None);
    for (said, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            r#"{"d":""}"#,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            r#"{"d":"{}"}"#,
        ),
        ("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", "{}"),
        ("HTTP/1.1 204 No\r\n\r\n", ""),
    ] {
        recorder.reacts(Reaction::says(said));
        let status = said[9..12].parse().unwrap();
        assert_eq!(post(status).text(), expected, "{said}");
    }
    recorder.reacts(Reaction {
        when: When::Whole,
        pieces: vec![chunked, "5\r\n{\"a\":\r\n".into()],
        last: Vec::new(),
        after: After::Reset,
    });
    assert!(!post(200).complete);
    // Nobody can write into a document what he cannot read.
    recorder.reacts(Reaction::says(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
    ));
    assert_eq!(post(502).json()["code"], "answer_coded");
}

#[test]
fn a_redirect_that_is_the_pages_to_follow_leads_to_where_dqe_means() {
    let recorder = Recorder::start();
    let running = setup().server(&recorder.url()).start();
    for (location, expected) in [
        ("next?x=1&Licence=T", "/v1/phone/next?x=1"),
        ("?x=2", "/v1/phone/lookup?x=2"),
        ("/TEL/?x=3", "/TEL/?x=3"),
    ] {
        recorder.reacts(Reaction::says(format!(
            "HTTP/1.1 303 See Other\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        )));
        let answer = post(
            &running,
            "/dqe.php",
            FORM,
            &form("v1/phone/lookup?phone=06"),
        );
        assert_eq!(answer.status, 303, "{location}: {}", answer.text());
        assert_eq!(answer.field("location").unwrap(), expected);
    }
}

#[test]
fn nothing_but_a_known_path_of_the_dqe_server_is_called() {
    let running = setup().start();
    running.wait_until_ready();
    let dqe = running.dqe.sandbox.url();
    let authority = dqe.strip_prefix("http://").unwrap();
    let (_, port) = authority.split_once(':').unwrap();
    let before = running.counters().token_endpoint_requests;
    for (url, status, code) in [
        (
            &*format!("http://evil.example:{port}/TEL/"),
            400,
            "relay_url_not_allowed",
        ),
        (
            "https://evil.example/TEL/?Tel=06",
            400,
            "relay_url_not_allowed",
        ),
        (
            &*format!("http://{authority}.evil.example/TEL/"),
            400,
            "relay_url_not_allowed",
        ),
        (
            &*format!("http://evil@{authority}/TEL/"),
            400,
            "relay_url_not_allowed",
        ),
        (
            &*format!("http://{authority}@evil.example/TEL/"),
            400,
            "relay_url_not_allowed",
        ),
        (
            &*format!("https://{authority}/TEL/"),
            400,
            "relay_url_not_allowed",
        ),
        ("http://127.0.0.1:1/TEL/", 400, "relay_url_not_allowed"),
        (
            &*format!("//{authority}/TEL/"),
            400,
            "relay_url_not_allowed",
        ),
        ("//TEL/", 400, "relay_url_not_allowed"),
        ("file:///etc/passwd", 400, "relay_url_not_allowed"),
        ("javascript:TEL/", 400, "relay_url_not_allowed"),
        ("TEL/?Tel=06#x", 400, "relay_url_not_allowed"),
        ("TEL/?Tel=06\r\nX: y", 400, "relay_url_not_allowed"),
        ("../TEL/", 400, "target_not_allowed"),
        ("TEL/..\\TEL/", 400, "target_not_allowed"),
        ("x/%2e%2e/TEL/", 400, "target_not_allowed"),
        ("TEL/;x", 400, "target_not_allowed"),
        (&*format!("{dqe}//TEL/"), 400, "target_not_allowed"),
        ("oauth/access_token/?client_id=x", 404, "route_not_found"),
        (
            &*format!("{dqe}/oauth/access_token/"),
            404,
            "route_not_found",
        ),
        ("ACCESS_TOKEN/", 404, "route_not_found"),
        ("/%6fauth/access_token/", 404, "route_not_found"),
        ("undefinedRNVP/?x", 404, "route_not_found"),
        ("", 400, "relay_body_invalid"),
        ("/", 404, "route_not_found"),
        // It has side effects and is not enabled.
        ("GDPR_MSG/?Phone=0612345678", 404, "route_not_found"),
        // A relay leads to no relay.
        ("dqe.php", 404, "route_not_found"),
    ] {
        for (path, media_type, body) in [
            ("/dqe.php", FORM, form(url)),
            ("/services/Dqe.asmx/Call", JSON, json(url)),
        ] {
            let answer = post(&running, path, media_type, &body);
            let text = answer.text();
            assert_eq!(answer.status, status, "{url}: {text}");
            assert_eq!(answer.json()["code"], code, "{url}");
            assert_eq!(
                answer.field("content-type").unwrap(),
                "application/problem+json",
                "{url}"
            );
            // What was posted is personal data.
            assert!(!text.contains("Tel=") && !text.contains("evil"), "{text}");
        }
    }
    let long = format!("TEL/?Tel={}", "1".repeat(8000));
    let answer = post(&running, "/dqe.php", FORM, &form(&long));
    assert_eq!(answer.json()["code"], "target_too_long");
    assert!(running.received().is_empty());
    assert_eq!(running.counters().token_endpoint_requests, before);
}

#[test]
fn a_body_that_names_no_url_is_refused_with_what_is_wrong_with_it() {
    let running = setup().start();
    for (media_type, fields, body, word) in [
        (FORM, "", "", "no field"),
        (FORM, "", "uri=TEL/", "no field"),
        (FORM, "", "url=TEL/&url=CP/", "more than one"),
        (JSON, "", "url=TEL/", "JSON object"),
        (JSON, "", r#"{"url":7}"#, "JSON object"),
        (JSON, "", r#"{"url":"TEL/""#, "JSON object"),
        ("text/xml", "", "<url>TEL/</url>", "neither"),
        ("multipart/form-data; boundary=x", "", "--x--", "neither"),
        (
            FORM,
            "Content-Encoding: gzip\r\n",
            "url=TEL/",
            "content coding",
        ),
    ] {
        let answer = call(
            running.address,
            request("/dqe.php", media_type, fields, body),
        );
        assert_eq!(answer.status, 400, "{media_type} {body}");
        let problem = answer.json();
        assert_eq!(problem["code"], "relay_body_invalid", "{media_type} {body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{media_type} {body}: {detail}");
    }
    let large = format!("url=TEL/&x={}", "x".repeat(70_000));
    let answer = post(&running, "/dqe.php", FORM, &large);
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (413, &"form_too_large".into())
    );
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = call(
            running.address,
            format!(
                "{method} /dqe.php?url=TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ),
        );
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow").unwrap(), "POST", "{method}");
    }
    assert!(running.received().is_empty());
}

#[test]
fn a_relay_is_off_until_its_path_is_named() {
    let running = Running::start();
    for path in ["/dqe.php", "/relay", "/x.asmx/Call"] {
        let answer = post(&running, path, FORM, &form("TEL/?Tel=06"));
        assert_eq!(answer.json()["code"], "route_not_found", "{path}");
    }
    assert!(running.received().is_empty());
}

#[test]
fn a_page_of_another_site_cannot_use_a_relay() {
    let running = setup()
        .set("LISTENER_ORIGINS", "https://shop.example")
        .start();
    let body = form("TEL/?Tel=0612345678");
    for (fields, status) in [
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Origin: https://shop.example\r\n", 200),
        (
            "Origin: http://proxy.test\r\nSec-Fetch-Site: same-origin\r\n",
            200,
        ),
        ("", 200),
    ] {
        let answer = call(running.address, request("/dqe.php", FORM, fields, &body));
        assert_eq!(answer.status, status, "{fields}: {}", answer.text());
    }
    assert_eq!(running.received().len(), 3);
}

#[test]
fn a_relayed_call_is_replayed_scrubbed_and_refused_as_any_other() {
    let running = setup().start();
    running.wait_until_ready();
    // A dead token told in a body, and by status, is replaced and the call replayed.
    for refusal in ["200", "401"] {
        running
            .dqe
            .sandbox
            .set_switch("classic-refusal", refusal)
            .unwrap();
        running.dqe.sandbox.revoke_all_tokens();
        let before = running.received().len();
        let url = "TEL/?Tel=0612345678&Pays=FRA&Licence=";
        let answer = post(&running, "/services/Dqe.asmx/Call", JSON, &json(url));
        assert_eq!(answer.status, 200, "{refusal}: {}", answer.text());
        let d = answer.json()["d"].as_str().unwrap().to_owned();
        assert!(
            d.contains("TelOrigine") && !d.contains("Licence Down"),
            "{d}"
        );
        assert_eq!(running.received().len(), before + 2, "{refusal}");
        // The next forced renewal may come a while later only.
        running.handle.reload();
    }
    // Without any token the caller is told so, on both kinds of path.
    let down = setup()
        .set("TOKEN_WAIT", "10ms")
        .fault("token:status=503")
        .start();
    for (path, media_type, body) in [
        ("/dqe.php", FORM, form("TEL/?Tel=06")),
        ("/services/Dqe.asmx/Call", JSON, json("TEL/?Tel=06")),
    ] {
        let answer = post(&down, path, media_type, &body);
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.json()["code"], "token_unavailable", "{path}");
        assert!(answer.field("retry-after").is_some(), "{path}");
    }
}

#[test]
fn a_token_that_dqe_repeats_is_masked_inside_of_d_too() {
    let scripted = Scripted::start(|head, stream| {
        let target = head.split(' ').nth(1).unwrap();
        let body = serde_json::json!({ "asked": target }).to_string();
        let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for piece in body.as_bytes().chunks(3) {
            let piece = std::str::from_utf8(piece).unwrap();
            answer += &format!("{:x}\r\n{piece}\r\n", piece.len());
        }
        answer += "0\r\n\r\n";
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let running = setup().server(scripted.url()).start();
    let url = "RNVP/?Adresse=x&Licence=";
    let answer = post(&running, "/services/Dqe.asmx/Call", JSON, &json(url));
    let d = answer.json()["d"].as_str().unwrap().to_owned();
    assert!(d.contains("Licence=****"), "{d}");
    assert!(!answer.text().contains("TKscripted"), "{}", answer.text());
}

#[test]
fn a_relayed_call_with_a_side_effect_is_sent_once() {
    let running = setup()
        .set("DQE_ENABLE", "GDPR_MSG")
        .fault("path=/GDPR_MSG/:reset")
        .start();
    running.wait_until_ready();
    let url = "GDPR_MSG/?Phone=0612345678&Custom_sms=x&Country=FRA&Company=ABC&Licence=";
    let answer = post(&running, "/dqe.php", FORM, &form(url));
    assert_eq!(
        answer.json()["code"],
        "upstream_broken",
        "{}",
        answer.text()
    );
    assert_eq!(running.received().len(), 1);
}

#[test]
fn a_connection_serves_relayed_and_direct_calls_in_turn() {
    let running = setup().start();
    let mut connection = Connection::open(running.address);
    let body = json("TEL/?Tel=0612345678");
    for _ in 0..3 {
        connection.send(format!(
            "POST /services/Dqe.asmx/Call HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ));
        let relayed = connection.answer();
        connection.send_get("/TEL/?Tel=0612345678");
        let direct = connection.answer();
        assert_eq!((relayed.status, direct.status), (200, 200));
        assert_eq!(relayed.json()["d"], direct.text());
        // A refusal leaves the connection in order.
        connection.send(format!(
            "POST /dqe.php HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 5\r\n\r\nurl=/"
        ));
        assert_eq!(connection.answer().status, 404);
    }
}
