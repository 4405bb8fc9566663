//! What nobody outside DQE knows, played both ways: for all, for one family, while running.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dqe_proxy::sandbox::Sandbox;

use super::{PATIENCE, Reply, TOKEN_PATH, bearer, get, member, started, token};

const PHONE: &str = "/TEL/?Tel=0612345678";
const ADDRESS: &str = "/SINGLEV2/?Adresse=5+rue+des+pyr&Pays=FRA";

fn set(sandbox: &Sandbox, switch: &str) {
    let (name, value) = switch.split_once('=').unwrap();
    sandbox.set_switch(name, value).unwrap();
}

async fn token_reply(sandbox: &Sandbox, scope: &str) -> Reply {
    get(sandbox, &format!("{TOKEN_PATH}&scope={scope}"), "").await
}

#[tokio::test]
async fn a_family_answers_in_its_own_way_while_the_others_go_on() {
    let sandbox = started().await;
    let general = bearer(&sandbox, "client_general").await;
    let live = token(&sandbox, "client_general").await;
    let header = |target: &'static str| {
        let (sandbox, general) = (sandbox.clone(), general.clone());
        async move { get(&sandbox, target, &general).await }
    };
    set(&sandbox, "classic-content-type.phone=html");
    set(&sandbox, "slash-redirect.address=on");
    assert!(
        header(PHONE)
            .await
            .has_header("content-type: text/html; charset=utf-8")
    );
    assert!(
        header(ADDRESS)
            .await
            .has_header("content-type: application/json")
    );
    assert_eq!(header("/SINGLEV2?Adresse=5&Pays=FRA").await.status(), 301);
    assert_eq!(header("/TEL?Tel=0612345678").await.status(), 200);

    set(&sandbox, "carriage.phone=licence");
    assert_eq!(header(PHONE).await.status(), 401);
    assert_eq!(header(ADDRESS).await.status(), 200);
    let by_licence = get(&sandbox, &format!("{PHONE}&Licence={live}"), "").await;
    assert_eq!(by_licence.status(), 200);
    set(&sandbox, "carriage=either");
    assert_eq!(header(PHONE).await.status(), 200, "set for all again");

    set(&sandbox, "classic-header=ignored");
    set(&sandbox, "classic-refusal.phone=200");
    let silent = header(PHONE).await;
    assert!(silent.status() == 200 && silent.body().contains("Licence Down"));
    assert_eq!(header(ADDRESS).await.status(), 401);
    assert_eq!(
        header("/v1/phone/lookup?country=FRA&phone=0612345678")
            .await
            .status(),
        200
    );
    set(&sandbox, "classic-header=read");

    set(&sandbox, "classic-nothing=empty");
    assert_eq!(get(&sandbox, "/CP/?Licence=TKx", "").await.body(), "");
    set(&sandbox, "classic-nothing.address=object");
    assert_eq!(get(&sandbox, "/ADR/?Licence=TKx", "").await.body(), "{}");
    let names = get(&sandbox, "/LASTNAMESUGGEST/?Lastname=a&Licence=TKx", "").await;
    assert_eq!(names.body(), "");

    set(&sandbox, "latency.phone=150ms");
    let begun = Instant::now();
    header(PHONE).await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_eq!(sandbox.switches().latency, Duration::ZERO);
}

#[tokio::test]
async fn the_token_endpoint_treats_scopes_differently_when_told_to() {
    let sandbox = started().await;
    set(&sandbox, "token-life.email=7s");
    set(&sandbox, "expires-in.b2b=number");
    set(&sandbox, "one-token.phone=on");
    set(&sandbox, "token-reuse.civility=on");
    let email = token_reply(&sandbox, "client_email").await;
    assert_eq!(member(email.body(), "expires_in"), "7");
    let company = token_reply(&sandbox, "client_b2b").await;
    assert!(
        company.body().contains(r#""expires_in":300,"#),
        "{}",
        company.text
    );
    let first = token(&sandbox, "client_civility").await;
    assert_eq!(token(&sandbox, "client_civility").await, first);
    for (scope, target, expected) in [
        (
            "client_phone",
            "/v1/phonelookup/?Number=1&Country=FRA&Format=",
            401,
        ),
        ("client_email", "/v1/lookupemail/?Email=a@b.fr", 200),
    ] {
        let earlier = bearer(&sandbox, scope).await;
        bearer(&sandbox, scope).await;
        assert_eq!(
            get(&sandbox, target, &earlier).await.status(),
            expected,
            "{scope}"
        );
    }
}

#[tokio::test]
async fn a_same_token_server_repeats_as_long_and_tells_what_it_is_told_to() {
    let sandbox = started().await;
    set(&sandbox, "token-reuse=until:80%");
    set(&sandbox, "token-life=20s");
    let first = token_reply(&sandbox, "client_phone").await;
    let again = token_reply(&sandbox, "client_phone").await;
    let of = |reply: &Reply| member(reply.body(), "access_token");
    assert_eq!(of(&again), of(&first));
    assert_eq!(
        member(again.body(), "expires_in"),
        "19",
        "what is left, rounded down"
    );
    set(&sandbox, "token-reuse-tells=life");
    let told = token_reply(&sandbox, "client_phone").await;
    assert_eq!(
        (of(&told), member(told.body(), "expires_in")),
        (of(&first), "20".to_owned())
    );
    // It stops after a fifth of a second.
    set(&sandbox, "token-reuse=until:1%");
    let begun = Instant::now();
    while of(&token_reply(&sandbox, "client_phone").await) == of(&first) {
        assert!(begun.elapsed() < PATIENCE, "it repeats for ever");
    }
}

#[tokio::test]
async fn token_errors_come_in_three_formats_and_by_command() {
    let sandbox = started().await;
    sandbox
        .set_fault("token:refuse=invalid_client,after=1")
        .unwrap();
    assert_eq!(token_reply(&sandbox, "client_b2b").await.status(), 200);
    for (format, body) in [
        ("text", "Invalid Client"),
        ("json", r#"{"error":"invalid_client"}"#),
        (
            "restful",
            r#"{"status":400,"message":"Invalid Client","details":"","error":"invalid_client"}"#,
        ),
    ] {
        sandbox.set_switch("token-errors", format).unwrap();
        let refused = token_reply(&sandbox, "client_b2b").await;
        assert_eq!((refused.status(), refused.body()), (400, body));
    }
}

#[tokio::test]
async fn a_compressed_answer_is_what_a_plain_one_says() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_address").await;
    let plain = get(&sandbox, ADDRESS, &header).await;
    set(&sandbox, "gzip.address=on");
    let refusing = get(&sandbox, ADDRESS, &header).await;
    assert_eq!(refusing.body(), plain.body(), "not asked for");
    assert!(refusing.has_header("vary: accept-encoding"));
    let request = format!(
        "GET {ADDRESS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: br, gzip;q=0.5\r\n{header}\r\n"
    );
    let received = raw_bytes(&sandbox, request.as_bytes()).await;
    let at = received
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let head = String::from_utf8_lossy(&received[..at]).into_owned();
    let body = &received[at..];
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}\r\n", body.len())),
        "{head}"
    );
    assert!(!body.windows(5).any(|five| five == b"PARIS"));
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(body).unwrap();
    let unpacked = gzip.wait_with_output().unwrap();
    assert!(unpacked.status.success(), "gzip finds it damaged");
    assert_eq!(String::from_utf8(unpacked.stdout).unwrap(), plain.body());
}

async fn raw_bytes(sandbox: &Sandbox, request: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(sandbox.address())
        .await
        .unwrap();
    stream.write_all(request).await.unwrap();
    let mut received = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received))
        .await
        .unwrap()
        .unwrap();
    received
}

#[tokio::test]
async fn a_reverse_search_belongs_to_geocoding() {
    let sandbox = started().await;
    let address = bearer(&sandbox, "client_address").await;
    let general = bearer(&sandbox, "client_general").await;
    let around = "/SINGLE/?Pays=FRA&Lat=48.8634&Lon=2.4012&DistAdr=0.5";
    let suggest = "/SINGLE/?Pays=FRA&Lat=48.8634&Lon=2.4012&Adresse=5+rue+des+pyr";
    set(&sandbox, "geocoding-scope=general");
    set(&sandbox, "classic-refusal=401");
    assert_eq!(get(&sandbox, around, &address).await.status(), 401);
    assert!(
        get(&sandbox, around, &general)
            .await
            .body()
            .contains("PYRENEES")
    );
    assert!(
        get(&sandbox, suggest, &address)
            .await
            .body()
            .contains("PYRENEES")
    );
    let lacking = get(&sandbox, "/SINGLE/?Pays=FRA&Lat=48.8634&Lon=2.4", &general).await;
    assert_eq!(lacking.status(), 500);
}
