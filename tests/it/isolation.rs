//! What must not pass, does not: towards DQE, and back.

use crate::support::{Running, Setup, call};

#[test]
fn no_spelling_reaches_the_token_endpoint() {
    let below = "[[route]]\npath = \"/beta/*\"\nscope = \"client_general\"\n";
    for running in [Running::start(), Setup::default().file(below).start()] {
        running.wait_until_ready();
        let before = running.counters().token_requests();
        for target in [
            "/oauth/access_token/",
            "/OAUTH/access_token/",
            "/oauth/ACCESS_TOKEN",
            "/v1/../oauth/access_token/",
            "//oauth/access_token/",
            "/%6fauth/access_token/",
            "/%6Fauth/access%5ftoken/",
            "/oauth%2faccess_token/",
            "/./oauth/access_token/",
            "/x/%2e%2e/oauth/access_token/",
            "/x\\..\\oauth/access_token/",
            "/;/oauth/access_token/",
            "/v1/oauth/access_token/",
            "/ACCESS_TOKEN/",
            "/beta/../oauth/access_token/",
            "/beta/%2e%2e/oauth/access_token/",
            "/beta/..%2foauth/access_token/",
            "/beta//oauth/access_token/",
            "/beta\\..\\oauth/access_token/",
            "http://x/oauth/access_token/",
        ] {
            let query = "?client_id=SANDBOX&client_secret=sandbox-secret&scope=client_phone";
            for method in ["GET", "POST"] {
                let request = format!(
                    "{method} {target}{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                );
                let answer = call(running.address, request);
                assert!(
                    matches!(answer.status, 400 | 404),
                    "{target}: {}",
                    answer.status
                );
                assert!(!answer.text().contains("TK"), "{target}");
            }
        }
        assert_eq!(running.counters().token_requests(), before);
        assert!(running.received().is_empty());
    }
}

#[test]
fn what_only_concerns_the_inside_stays_inside() {
    let running = Running::start();
    let request = "GET /TEL/?Tel=0612345678 HTTP/1.1\r\nHost: proxy.internal\r\n\
        Authorization: Bearer theirs\r\nAuthorization: Basic dGhlaXJz\r\nCookie: session=1\r\n\
        X-Forwarded-For: 10.1.2.3\r\nForwarded: for=10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\nVia: 1.1 inner\r\n\
        Connection: close, X-Hop\r\nConnection: authorization\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
        TE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: Basic eA==\r\nExpect: 100-continue\r\n\
        X-App: kept\r\n\r\n";
    assert_eq!(call(running.address, request).status, 200);
    let entry = running.last_received();
    let mut names: Vec<String> = entry
        .headers
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["authorization", "host", "via", "x-app", "x-request-id"]
    );
    assert_eq!(entry.header_values("via"), [b"1.1 dqe-proxy"]);
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn the_vendors_401_for_our_credential_is_no_401_for_the_caller() {
    let running = Setup::default().fault("business:unauthorized").start();
    let answer = running.get("/TEL/?Tel=0612345678&Pays=FRA");
    assert_eq!(answer.status, 502);
    let problem = answer.json();
    assert_eq!(problem["code"], "credential_rejected");
    assert_eq!(
        problem["request_id"].as_str(),
        answer.field("x-request-id").as_deref()
    );
    assert_eq!(answer.field("www-authenticate"), None);
    assert_eq!(
        answer.field("content-type").as_deref(),
        Some("application/problem+json")
    );
    let proxy_status = answer.field("proxy-status").unwrap();
    assert_eq!(
        proxy_status,
        "dqe-proxy; error=http_request_denied; details=\"credential_rejected\""
    );
    assert_eq!(running.received().len(), 2, "one replay, no loop");
}

#[test]
fn tunnels_and_echoes_are_refused_and_loops_broken() {
    let running = Running::start();
    for (request, status) in [
        (
            "TRACE /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            405,
        ),
        ("CONNECT dqe.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (
            "GET /TEL/ HTTP/1.1\r\nHost: x\r\nVia: 1.1 dqe-proxy\r\nConnection: close\r\n\r\n",
            508,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            404,
        ),
    ] {
        assert_eq!(call(running.address, request).status, status, "{request}");
    }
    let long = format!(
        "GET /TEL/?Tel={} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "1".repeat(8100)
    );
    assert_eq!(call(running.address, long).status, 414);
    assert!(running.received().is_empty());
}

#[test]
fn what_is_no_dqe_path_is_a_404_that_says_so() {
    let running = Running::start();
    for target in ["/", "/TEL/anything", "/TELEPHONE/", "/favicon.ico", "/v1/"] {
        let answer = running.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(answer.json()["code"], "route_not_found");
    }
    assert!(running.received().is_empty());
}

#[test]
fn a_path_whose_scope_is_not_configured_says_so() {
    let running = Setup::default().set("DQE_SCOPES", "client_phone").start();
    assert_eq!(running.get("/TEL/?Tel=0612345678").status, 200);
    let answer = running.get("/RNVP/?Adresse=x&Pays=FRA");
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (404, Some("scope_not_configured"))
    );
    assert_eq!(running.received().len(), 1);
}
