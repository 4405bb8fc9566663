//! A page of another site that the operator has named calls as it would call
//! DQE, and its browser lets it read the answer; no other page does.

use crate::support::{Answer, Running, Scripted, Setup, call, eventually};

const PAGE: &str = "https://intranet.example";

fn open_to_the_page() -> Running {
    let running = Setup::default().set("CORS_ORIGINS", PAGE).start();
    running.wait_until_ready();
    running
}

fn send(running: &Running, line: &str, fields: &str) -> Answer {
    call(
        running.address,
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n"),
    )
}

fn from(origin: &str) -> String {
    format!("Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n")
}

fn cors_fields(answer: &Answer) -> Vec<String> {
    let names = answer.fields.iter().map(|(name, _)| name.to_lowercase());
    names
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

#[test]
fn a_browser_that_asks_first_is_answered_here() {
    let running = open_to_the_page();
    let asks = "Access-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: content-type,x-requested-with,authorization\r\n";
    let tokens = running.counters().token_requests();
    for path in ["/v1/email/lookup", "/TEL", "/nowhere", "*"] {
        let answer = send(&running, &format!("OPTIONS {path}"), &(from(PAGE) + asks));
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.body.is_empty());
        for (name, value) in [
            ("access-control-allow-origin", PAGE),
            (
                "access-control-allow-methods",
                "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            ),
            (
                "access-control-allow-headers",
                "content-type,x-requested-with,authorization",
            ),
            ("access-control-max-age", "7200"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.field(name).as_deref(), Some(value), "{path}");
        }
        assert_eq!(answer.field("access-control-allow-credentials"), None);
        assert_eq!(answer.field("access-control-allow-private-network"), None);
        let vary = answer.field("vary").unwrap();
        assert!(vary.starts_with("Origin, Access-Control-Request-Method"));
        assert!(answer.field("x-request-id").is_some());
    }
    assert!(running.received().is_empty());
    assert_eq!(running.counters().token_requests(), tokens);
    eventually("it is logged", || {
        let lines = running.log_lines("none");
        lines.len() == 4 && lines.iter().all(|line| line["status"] == 204)
    });
}

#[test]
fn a_page_outside_may_ask_for_the_network_inside() {
    let running = open_to_the_page();
    let asks = "Access-Control-Request-Method: GET\r\n\
         Access-Control-Request-Private-Network: true\r\n";
    let answer = send(&running, "OPTIONS /TEL/", &(from(PAGE) + asks));
    assert_eq!(answer.status, 204);
    let allowed = answer.field("access-control-allow-private-network");
    assert_eq!(allowed.as_deref(), Some("true"));
    assert_eq!(answer.field("access-control-allow-headers"), None);
    let refused = send(
        &running,
        "OPTIONS /TEL/",
        &(from("https://evil.example") + asks),
    );
    assert_eq!(refused.status, 403);
    assert_eq!(cors_fields(&refused), [""; 0]);
    assert!(running.received().is_empty());
}

#[test]
fn the_page_reads_dqes_answer_under_its_own_name_alone() {
    let scripted = Scripted::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Origin: x\r\n\
         Access-Control-Allow-Credentials: true\r\nVary: Accept-Encoding\r\nContent-Length: 2\r\n\r\nok",
    );
    let running = Setup::default()
        .server(scripted.url())
        .set("CORS_ORIGINS", &format!("https://other.example, {PAGE}"))
        .start();
    running.wait_until_ready();
    let answer = send(&running, "GET /TEL/?Tel=1", &from(PAGE));
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let origin = answer.field("access-control-allow-origin");
    assert_eq!(origin.as_deref(), Some(PAGE), "one, and this one");
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    assert_eq!(
        answer.field("vary").as_deref(),
        Some("Accept-Encoding, Origin")
    );
    assert_eq!(
        answer.field("access-control-expose-headers").as_deref(),
        Some("X-Request-Id, Proxy-Status, Retry-After")
    );
    // A cache must not give one reader's answer to another.
    let program = running.get("/TEL/?Tel=1");
    assert_eq!(
        program.field("vary").as_deref(),
        Some("Accept-Encoding, Origin")
    );
    assert_eq!(
        program.field("access-control-allow-origin").as_deref(),
        Some("*, x")
    );
    // The vendor is told nothing of the pages inside.
    for head in scripted.heads() {
        assert!(!head.contains("intranet"), "{head}");
        assert!(
            !head.contains("origin:") && !head.contains("sec-fetch-site"),
            "{head}"
        );
    }
}

#[test]
fn the_page_reads_the_proxys_own_errors_too() {
    let running = Setup::default()
        .set("CORS_ORIGINS", PAGE)
        .fault("business:unauthorized")
        .start();
    running.wait_until_ready();
    let long = format!("GET /TEL/?Tel={}", "1".repeat(8000));
    for (line, code) in [
        ("GET /TEL/?Tel=1", "credential_rejected"),
        ("POST /nowhere", "route_not_found"),
        ("GET /TEL//", "target_not_allowed"),
        (&long, "target_too_long"),
    ] {
        let answer = send(&running, line, &from(PAGE));
        assert_eq!(answer.json()["code"], code);
        let origin = answer.field("access-control-allow-origin");
        assert_eq!(origin.as_deref(), Some(PAGE), "{code}");
        assert_eq!(answer.field("vary").as_deref(), Some("Origin"), "{code}");
    }
}

#[test]
fn no_other_page_gets_in() {
    let running = open_to_the_page();
    for origin in [
        "https://evil.example",
        "http://intranet.example",
        "https://intranet.example:8443",
        "https://intranet.example.evil.example",
        "https://xintranet.example",
        "null",
        "",
        "*",
        "https://intranet.example, https://evil.example",
    ] {
        for line in ["GET /TEL/?Tel=1", "OPTIONS /TEL/"] {
            let asks = "Access-Control-Request-Method: GET\r\n";
            let answer = send(&running, line, &(from(origin) + asks));
            assert_eq!(answer.status, 403, "{line} {origin}");
            assert_eq!(answer.json()["code"], "cross_site_refused");
            assert_eq!(cors_fields(&answer), [""; 0], "{origin}");
        }
    }
    assert!(running.received().is_empty());
}

/// A question without its method is an OPTIONS like any other.
#[test]
fn what_is_no_question_of_a_browser_goes_its_way() {
    let running = open_to_the_page();
    let answer = send(&running, "OPTIONS /TEL/?Tel=1", &from(PAGE));
    assert_eq!(answer.status, 405, "the fake DQE's own");
    assert_eq!(
        answer.field("access-control-allow-origin").as_deref(),
        Some(PAGE)
    );
    let last = send(
        &running,
        "OPTIONS /TEL/",
        &format!("{}Max-Forwards: 0\r\n", from(PAGE)),
    );
    assert_eq!(last.status, 204);
    assert_eq!(
        last.field("access-control-allow-origin").as_deref(),
        Some(PAGE)
    );
    assert_eq!(running.received().len(), 1);
}

#[test]
fn without_a_list_nothing_is_said_and_nobody_asks_in_vain() {
    let running = Running::start();
    running.wait_until_ready();
    let answer = running.get("/TEL/?Tel=0612345678");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("vary"), None);
    // The vendor's own word stays.
    assert_eq!(
        answer.field("access-control-allow-origin").as_deref(),
        Some("*")
    );
    let asks = "Access-Control-Request-Method: GET\r\n";
    let refused = send(&running, "OPTIONS /TEL/", &(from(PAGE) + asks));
    assert_eq!(refused.status, 403);
    assert_eq!(cors_fields(&refused), [""; 0]);
}

/// A script element sends no Origin; the page behind its Referer is the same.
#[test]
fn a_listed_page_calls_with_a_script_as_well() {
    let running = open_to_the_page();
    let script = |page: &str| {
        format!(
            "Referer: {page}/form?x=1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n"
        )
    };
    let line = "GET /TEL/?Tel=0612345678&callback=cb";
    let answer = send(&running, line, &script(PAGE));
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("cb(\""), "{}", answer.text());
    assert_eq!(
        send(&running, line, &script("https://evil.example")).status,
        403
    );
}
