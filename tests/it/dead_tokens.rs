//! A token that DQE takes for dead and says so in an ordinary-looking answer
//! with status 200, in words: replaced, the call replayed.

use std::io::Write;
use std::time::Duration;

use dqe_proxy::sandbox::Scope;

use crate::support::{Connection, Scripted, Setup, call};

#[test]
fn a_refusal_that_is_certain_is_replaced_by_the_good_answer_with_one_renewal_and_one_replay() {
    for (target, scope, expected) in [
        ("/TEL/?Tel=0612345678&Pays=FRA", Scope::Phone, "MOBILE"),
        (
            "/TEL/?Tel=0612345678&callback=cb&_=1",
            Scope::Phone,
            "MOBILE",
        ),
        (
            "/DQEEMAILLOOKUP/?Email=jean.dupont@gmail.com",
            Scope::Email,
            "jean.dupont@gmail.com",
        ),
        (
            "/DQEEMAILLOOKUP/?Email=jean.dupont@gmail.com&callback=jQuery1_2",
            Scope::Email,
            "jean.dupont@gmail.com",
        ),
        (
            "/v1/single/?Address=5%20rue%20des%20pyr&Country=FRA",
            Scope::Address,
            "PYRENEES",
        ),
    ] {
        for chunked in ["off", "on"] {
            let running = Setup::default()
                .switch("classic-refusal=200")
                .switch(&format!("chunked={chunked}"))
                .start();
            running.wait_until_ready();
            running.dqe.sandbox.revoke(scope);
            let answer = running.get(target);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            assert!(
                answer.text().contains(expected),
                "{target}: {}",
                answer.text()
            );
            assert_eq!(running.received().len(), 2, "{target}");
            assert_eq!(running.token_generation(scope), Some(2.0), "{target}");
        }
    }
}

/// DQE's refusals in words as its documentation writes them, where the fake DQE
/// says it otherwise.
#[test]
fn each_familys_documented_refusal_is_replaced_by_the_good_answer() {
    let ko = r#"{"1":{"Redressement":0,"eMailOrigine":"a@b.fr","IdError":"** LICENCE KO **","eMail":""}}"#;
    let down = r#"{"1":{"TelOrigine":"","Tel":"","IdError":"Licence Down","Type":""}}"#;
    let restful = r#"{"status":401,"message":"licence not allowed for this function","details":"x","error":"unauthorized_client"}"#;
    let called = |document: &str| format!("cb({})", serde_json::to_string(document).unwrap());
    for (target, scope, refusal) in [
        ("/DQEEMAILLOOKUP/?Email=a@b.fr", Scope::Email, ko.to_owned()),
        (
            "/DQEEMAILLOOKUP/?Email=a@b.fr&callback=cb",
            Scope::Email,
            called(ko),
        ),
        (
            "/DQEEMAILLOOKUP/?Email=a@b.fr",
            Scope::Email,
            "unauthorized_client\r\n".to_owned(),
        ),
        ("/TEL/?Tel=06", Scope::Phone, down.to_owned()),
        ("/TEL/?Tel=06&callback=cb", Scope::Phone, called(down)),
        ("/v1/single/?Address=5", Scope::Address, restful.to_owned()),
        (
            "/v1/phonelookup/?Number=06",
            Scope::Phone,
            restful.to_owned(),
        ),
        (
            "/v1/lookupemail/?Email=a@b.fr",
            Scope::Email,
            restful.to_owned(),
        ),
        (
            "/v1/lookupcname/?CompanyName=x",
            Scope::B2b,
            restful.to_owned(),
        ),
    ] {
        let dead = std::sync::OnceLock::new();
        let said = refusal.clone();
        let scripted = Scripted::start(move |head, stream| {
            let bearer = head.split_once("authorization: Bearer ").unwrap().1;
            let token = bearer.split_once("\r\n").unwrap().0;
            let is_dead = dead.get_or_init(|| token.to_owned()) == token;
            let body = if is_dead {
                said.as_str()
            } else {
                r#"{"1":{"right":"1"}}"#
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream
                .get_mut()
                .write_all(format!("{head}{body}").as_bytes())
                .is_ok()
        });
        let running = Setup::default().server(scripted.url()).start();
        running.wait_until_ready();
        let answer = running.get(target);
        assert!(
            answer.text().contains("right"),
            "{refusal}: {}",
            answer.text()
        );
        assert_eq!(scripted.heads().len(), 2, "{refusal}");
        assert_eq!(running.token_generation(scope), Some(2.0), "{refusal}");
    }
}

#[test]
fn a_post_refused_in_its_body_is_replayed_with_the_new_token_in_its_form() {
    let running = Setup::default()
        .switch("classic-refusal=200")
        .set("DQE_CARRIAGE", "licence")
        .start();
    running.wait_until_ready();
    running.dqe.sandbox.revoke(Scope::Phone);
    let body = "Licence=OURS&Tel=0612345678";
    let request = format!(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    let answer = call(running.address, request);
    assert!(answer.text().contains("MOBILE"), "{}", answer.text());
    let received = running.received();
    assert_eq!(received.len(), 2);
    assert_ne!(received[0].body, received[1].body);
}

#[test]
fn a_refusal_of_the_new_token_too_is_no_answer_of_dqes_for_the_caller() {
    let refused = r#"{"1":{"IdError":"** LICENCE KO **","eMail":""}}"#;
    let scripted = Scripted::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{refused}",
        refused.len()
    ));
    let running = Setup::default()
        .server(scripted.url())
        .set("DQE_ENABLE", "GDPR_MSG")
        .start();
    running.wait_until_ready();
    for (target, attempts) in [
        ("/DQEEMAILLOOKUP/?Email=a@b.fr", 2),
        // What acts is not sent again, whatever the answer.
        ("/GDPR_MSG/?Phone=0612345678", 1),
    ] {
        let before = scripted.heads().len();
        let answer = running.get(target);
        let problem = answer.json();
        assert_eq!(answer.status, 502, "{target}");
        assert_eq!(problem["code"], "credential_rejected", "{target}");
        assert_eq!(scripted.heads().len() - before, attempts, "{target}");
    }
}

#[test]
fn a_large_answer_is_passed_on_from_its_first_piece() {
    let scripted = Scripted::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        let begun = format!("{head}{{\"1\":{{\"Instance\":\"0\",\n");
        let _ = stream.get_mut().write_all(begun.as_bytes());
        // Nothing more comes, and yet the caller has what there was.
        std::thread::park_timeout(Duration::from_secs(10));
        false
    });
    let running = Setup::default().server(scripted.url()).start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    connection.send_get("/SINGLEV2/?Adresse=5&Pays=FRA");
    while !connection.raw_line().unwrap().contains("Instance") {}
}
