//! Names, ports and certificates: what keeps a connection from being made.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use dqe_proxy::sandbox::{Sandbox, Settings};

use super::{dqe, examine, start};

#[tokio::test]
async fn a_name_that_is_not_resolved_is_named() {
    let examined = examine("https://dqe.invalid", &[], &["--json"]).await;
    assert_eq!(
        (examined.code, examined.causes()),
        (Some(1), vec!["name_not_resolved".to_owned()])
    );
    assert!(examined.text.contains("dqe.invalid"));
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let sandbox = dqe().await;
    let url = sandbox.url();
    sandbox.pause_listening().await;
    let examined = examine(&url, &[], &["--json"]).await;
    assert_eq!(
        (examined.code, examined.causes()),
        (Some(1), vec!["connection_refused".to_owned()])
    );
    let report = examined.json();
    assert_eq!(report["findings"][0]["side"], "network");
    let skipped = report["steps"].as_array().unwrap().iter().filter(|step| {
        step["verdict"] == "skipped"
            && ["token", "call"]
                .iter()
                .any(|stage| step["stage"] == *stage)
    });
    assert_eq!(skipped.count(), 2);
}

async fn with_https(address: SocketAddr) -> Sandbox {
    start(Settings {
        address,
        https: true,
        ..Settings::default()
    })
    .await
}

fn authority_of(sandbox: &Sandbox) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, sandbox.ca_pem().unwrap()).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[tokio::test]
async fn an_unknown_authority_is_named_and_a_known_one_is_well() {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let (sandbox, other) = (with_https(local).await, with_https(local).await);
    for (authority, causes) in [
        (&other, vec!["tls_unknown_authority".to_owned()]),
        (&sandbox, vec![]),
    ] {
        let (_folder, file) = authority_of(authority);
        let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", file.as_str())];
        let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
        assert_eq!(examined.causes(), causes, "{}", examined.text);
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_named() {
    let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", "/nowhere/ca.pem")];
    let examined = examine("https://dqe.invalid", &settings, &[]).await;
    assert_eq!(examined.code, Some(1));
    for said in ["warning: ", "trust_unusable", "/nowhere/ca.pem"] {
        assert!(examined.text.contains(said), "{said}: {}", examined.text);
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_named() {
    // The sandbox's certificate is good for 127.0.0.1, not for its neighbour.
    let sandbox = with_https(SocketAddr::from(([127, 0, 0, 2], 0))).await;
    let (_folder, file) = authority_of(&sandbox);
    let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", file.as_str())];
    let examined = examine(&sandbox.url(), &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["tls_wrong_name"], "{}", examined.text);
}

#[tokio::test]
async fn a_port_without_tls_is_named_whether_it_answers_or_waits() {
    let authority = with_https(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let (_folder, file) = authority_of(&authority);
    let settings = [("DQE_PROXY_UPSTREAM_CA_FILES", file.as_str())];
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // Until the program has read it and gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let examined = examine(&url, &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["tls_not_spoken"], "{}", examined.text);
    answering.join().unwrap();
    let sandbox = dqe().await;
    let url = sandbox.url().replace("http:", "https:");
    let settings = [settings[0], ("DQE_PROXY_UPSTREAM_CONNECT_TIMEOUT", "300ms")];
    let examined = examine(&url, &settings, &["--json"]).await;
    assert_eq!(examined.causes(), ["tls_silent"], "{}", examined.text);
}
