//! What the sandbox notes: bytes, tokens, violations, callers that leave.

use dqe_proxy::sandbox::{Carrier, CredentialKind, Family, Scope, Standing, Violation};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, get, last, post, raw, started, token};

#[tokio::test]
async fn the_journal_keeps_every_byte_of_target_headers_and_body() {
    let sandbox = started().await;
    let target = b"/DQEEMAILLOOKUP/?Email=a%2540b.fr&Tel=+33 6&Adresse=|5%20rue|\xe9%E9%e9&&x#y";
    let mut request = b"POST ".to_vec();
    request.extend_from_slice(target);
    request.extend_from_slice(
        b" HTTP/1.1\r\nhOsT: a\r\nX-Raw: caf\xe9  d\r\nX-raw: 2\r\nConnection: close\r\n",
    );
    request.extend_from_slice(
        b"Transfer-Encoding: chunked\r\n\r\n3\r\na\x00\xff\r\n2;x=y\r\nbc\r\n0\r\n\r\n",
    );
    raw(sandbox.address(), &request).await;
    let entry = last(&sandbox);
    assert_eq!(entry.target.as_ref(), &target[..]);
    assert_eq!(entry.path(), b"/DQEEMAILLOOKUP/");
    assert_eq!(entry.headers[0].0.as_ref(), b"hOsT");
    assert_eq!(
        entry.header_values("x-raw"),
        [&b"caf\xe9  d"[..], &b"2"[..]]
    );
    assert_eq!(
        (entry.body.as_ref(), entry.body_length),
        (&b"a\x00\xffbc"[..], 5)
    );
    assert_eq!(
        (entry.sequence, entry.connection, entry.status),
        (1, 1, Some(401))
    );
}

#[tokio::test]
async fn a_long_body_is_counted_whole_and_kept_in_part() {
    let sandbox = started().await;
    let live = token(&sandbox, "client_phone").await;
    let body = format!("Tel=1&pad={}&Licence={live}", "x".repeat(200_000));
    let form = "application/x-www-form-urlencoded";
    let reply = post(&sandbox, "/TEL/", "", form, &body).await;
    let entry = last(&sandbox);
    assert_eq!(
        (entry.body.len(), entry.body_length),
        (65_536, body.len() as u64)
    );
    assert_eq!(
        reply.status(),
        200,
        "what comes last in a long form is read"
    );
}

#[tokio::test]
async fn the_journal_tells_which_token_came_and_how() {
    let sandbox = started().await;
    token(&sandbox, "client_phone").await;
    let second = token(&sandbox, "client_phone").await;
    get(&sandbox, &format!("/TEL/?Tel=1&Licence={second}"), "").await;
    let entry = last(&sandbox);
    assert_eq!(
        (
            entry.generation(),
            entry.has_header_credential(),
            entry.has_licence_parameter()
        ),
        (Some(2), false, true)
    );
    let one = &entry.credentials[0];
    assert_eq!(
        (one.carrier, one.kind),
        (Carrier::Query, CredentialKind::Token(Standing::Live))
    );
    assert_eq!(
        (one.scope, entry.scope),
        (Some(Scope::Phone), Some(Scope::Phone))
    );
    let form = "application/x-www-form-urlencoded";
    post(
        &sandbox,
        "/TEL/?Tel=1",
        "",
        form,
        &format!("Licence={second}"),
    )
    .await;
    assert_eq!(last(&sandbox).credentials[0].carrier, Carrier::Body);
}

#[tokio::test]
async fn each_violation_is_counted_under_its_name() {
    let sandbox = started().await;
    let live = token(&sandbox, "client_phone").await;
    let header = format!("Authorization: Bearer {live}\r\n");
    let path = "/TEL/?Tel=0612345678";
    for (target, headers, violation) in [
        (
            path.to_owned(),
            format!("{header}{header}"),
            Violation::SeveralAuthorizations,
        ),
        (
            format!("{path}&Licence={live}&licence={live}"),
            String::new(),
            Violation::SeveralLicences,
        ),
        (
            path.to_owned(),
            "Authorization: Basic YTpi\r\n".to_owned(),
            Violation::OtherAuthorization,
        ),
        (path.to_owned(), String::new(), Violation::NoCredential),
        (
            path.to_owned(),
            "Authorization: Bearer TKnever\r\n".to_owned(),
            Violation::UnknownToken,
        ),
        (
            "/CP/?CodePostal=1&Pays=FRA".to_owned(),
            header.clone(),
            Violation::WrongScope,
        ),
        (
            format!("{path}&Licence=SANDBOX"),
            String::new(),
            Violation::LicenceCodeInClear,
        ),
        (
            path.to_owned(),
            format!("{header}Keep-Alive: timeout=5\r\n"),
            Violation::HopByHopHeader,
        ),
        (
            path.to_owned(),
            format!("{header}Proxy-Authorization: Basic x\r\n"),
            Violation::HopByHopHeader,
        ),
        (
            path.to_owned(),
            format!("{header}TE: trailers\r\n"),
            Violation::HopByHopHeader,
        ),
        (
            path.to_owned(),
            format!("{header}Connection: x-secret\r\n"),
            Violation::HopByHopHeader,
        ),
        (
            path.to_owned(),
            format!("{header}Cookie: a=b\r\n"),
            Violation::Cookie,
        ),
        (
            path.to_owned(),
            format!("{header}X-Forwarded-For: 10.0.0.1\r\n"),
            Violation::ForwardingHeader,
        ),
        (
            path.to_owned(),
            format!("{header}Forwarded: for=10.0.0.1\r\n"),
            Violation::ForwardingHeader,
        ),
        (
            path.to_owned(),
            format!("{header}Content-Length: 1, 1\r\n"),
            Violation::Malformed,
        ),
    ] {
        sandbox.reset_counters();
        get(&sandbox, &target, &headers).await;
        let counters = sandbox.counters();
        assert_eq!(
            (counters.violation(violation), counters.violations()),
            (1, 1),
            "{target} {headers}"
        );
    }
}

#[tokio::test]
async fn special_tokens_survive_when_they_are_percent_encoded() {
    let sandbox = started().await;
    sandbox.set_switch("token-characters", "special").unwrap();
    let live = token(&sandbox, "client_phone").await;
    assert_eq!(
        get(
            &sandbox,
            "/TEL/?Tel=1",
            &format!("Authorization: Bearer {live}\r\n")
        )
        .await
        .status(),
        200
    );
    let encoded: String = live.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(
        get(&sandbox, &format!("/TEL/?Tel=1&Licence={encoded}"), "")
            .await
            .status(),
        200
    );
    assert_eq!(
        get(&sandbox, &format!("/TEL/?Tel=1&Licence={live}"), "")
            .await
            .status(),
        401
    );
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed() {
    let sandbox = started().await;
    let mut entries = sandbox.watch();
    sandbox.set_fault("any:slow=1h").unwrap();
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream
        .write_all(b"GET /TEL/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    drop(stream);
    let entry = timeout(PATIENCE, entries.recv()).await.unwrap().unwrap();
    assert_eq!((entry.status, entry.abandoned), (None, true));
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream
        .write_all(b"POST /TEL/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .await
        .unwrap();
    drop(stream);
    let entry = timeout(PATIENCE, entries.recv()).await.unwrap().unwrap();
    assert_eq!((entry.family, entry.abandoned), (Some(Family::Phone), true));
    assert_eq!(sandbox.counters().abandoned, 2);
}
