//! Only listed networks, hosts and pages get an answer.

use crate::support::{Connection, Setup, call, eventually};

#[test]
fn a_caller_outside_the_allowed_networks_is_cut_off_before_it_speaks() {
    let running = Setup::default().set("LISTENER_ALLOW", "10.0.0.0/8").start();
    let mut connection = Connection::open(running.address);
    assert!(connection.is_at_end());
    eventually("it is counted", || {
        running.metric("dqe_proxy_caller_connections_refused_total") == Some(1.0)
    });
    assert!(running.received().is_empty());
}

#[test]
fn a_mapped_address_is_its_ipv4_address() {
    let running = Setup::default()
        .set("LISTENER_ADDRESS", "[::]:0")
        .set("LISTENER_ALLOW", "127.0.0.0/8")
        .start();
    let port = running.address.port();
    let answer = call(
        ([127, 0, 0, 1], port).into(),
        "GET /TEL/?Tel=06 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    eventually("it is logged as IPv4", || {
        running
            .log_lines("/TEL/")
            .iter()
            .any(|line| line["caller"] == "127.0.0.1")
    });
}

#[test]
fn hosts_and_pages_are_checked_when_listed() {
    let running = Setup::default()
        .set("LISTENER_HOSTS", "dqe-proxy.internal")
        .set("CORS_ORIGINS", "https://intranet.example")
        .start();
    let request = |fields: &str| {
        format!("GET /TEL/?Tel=06 HTTP/1.1\r\n{fields}\r\nConnection: close\r\n\r\n")
    };
    for (fields, status) in [
        ("Host: dqe-proxy.internal:8080", 200),
        ("Host: evil.example", 421),
        (
            "Host: dqe-proxy.internal\r\nSec-Fetch-Site: cross-site",
            403,
        ),
        (
            "Host: dqe-proxy.internal\r\nOrigin: https://evil.example",
            403,
        ),
        (
            "Host: dqe-proxy.internal\r\nOrigin: https://intranet.example\r\nSec-Fetch-Site: cross-site",
            200,
        ),
    ] {
        let answer = call(running.address, request(fields));
        assert_eq!(answer.status, status, "{fields}: {}", answer.text());
    }
    assert_eq!(running.received().len(), 2);
    // Where the target names a host, that is it, whatever Host says (RFC 9112 §3.2.2).
    for (target, host, status) in [
        (
            "http://dqe-proxy.internal/",
            "Host: dqe-proxy.internal\r\n",
            200,
        ),
        (
            "http://DQE-proxy.internal:8080/",
            "Host: evil.example\r\n",
            200,
        ),
        ("http://evil.example/", "Host: dqe-proxy.internal\r\n", 421),
    ] {
        let request =
            format!("GET {target}TEL/?Tel=06 HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        let answer = call(running.address, request);
        assert_eq!(answer.status, status, "{target} {host}: {}", answer.text());
    }
    assert_eq!(running.received().len(), 4);
}
