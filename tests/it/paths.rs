//! A path is known in every way that callers write it, and reaches DQE as it
//! was written.

use dqe_proxy::dqe::catalogue::CATALOGUE;

use crate::support::{Recorder, Running, Setup};

/// The spellings callers use, of a path that is documented as `path`.
fn spellings(path: &str) -> Vec<String> {
    let mixed: String = path
        .chars()
        .enumerate()
        .map(|(at, letter)| match at % 2 {
            0 => letter.to_ascii_uppercase(),
            _ => letter.to_ascii_lowercase(),
        })
        .collect();
    let cases = [
        path.to_owned(),
        path.to_ascii_lowercase(),
        path.to_ascii_uppercase(),
        mixed,
    ];
    let mut spellings = Vec::new();
    for path in &cases {
        for version in ["", "/v1", "/V2", "/v10"] {
            for end in ["", "/"] {
                spellings.push(format!("{version}/{path}{end}"));
            }
        }
    }
    spellings
}

#[test]
fn every_path_of_the_catalogue_reaches_dqe_in_the_spelling_of_its_caller() {
    let recorder = Recorder::start();
    let running = Setup::default()
        .server(&recorder.url())
        .set("DQE_ENABLE", "GDPR_MSG,GDPR_VERIF")
        .set("DQE_CARRIAGE", "header")
        .start();
    running.wait_until_ready();
    let mut tried = 0;
    // ID Mobile's target is never as it was: it carries the credential.
    for entry in CATALOGUE.iter().filter(|entry| !entry.is_id_mobile()) {
        let mut connection = crate::support::Connection::open(running.address);
        for path in spellings(entry.path) {
            connection.send_get(&format!("{path}?x=%7C"));
            assert_eq!(connection.answer().status, 200, "{path}");
            let [call] = &recorder.take_calls()[..] else {
                panic!("{path}: not one call");
            };
            let head = String::from_utf8_lossy(&call.head).into_owned();
            assert!(
                head.starts_with(&format!("GET {path}?x=%7C HTTP/1.1\r\n")),
                "{head}"
            );
            let scope = entry.scope.as_str();
            assert!(head.contains(&format!("{scope}\r\n")), "{path}: {head}");
            tried += 1;
        }
    }
    assert_eq!(tried, (CATALOGUE.len() - 1) * 32);
}

#[test]
fn what_is_nearly_a_path_of_the_catalogue_is_none() {
    let running = Running::start();
    running.wait_until_ready();
    for (path, status) in [
        ("/TE", 404),
        ("/TELL/", 404),
        ("/TEL/x", 404),
        ("/x/TEL/", 404),
        ("/v1", 404),
        ("/v1/", 404),
        ("/v/TEL/", 404),
        ("/v1a/TEL/", 404),
        ("/1/TEL/", 404),
        ("/v-1/TEL/", 404),
        ("/v1/v1/TEL/", 404),
        ("/v1/email", 404),
        ("/email/lookup/x", 404),
        ("/T%45L/", 404),
        ("/TEL%20/", 404),
        ("/TEL//", 400),
        ("//TEL/", 400),
        ("/v1//TEL/", 400),
        ("/./TEL/", 400),
        ("/v1/../TEL/", 400),
        ("/TEL/.", 400),
        ("/TEL%2F", 400),
        ("/TEL;v=1", 400),
        ("/TEL\\", 400),
        // Off until they are enabled, in every spelling.
        ("/GDPR_MSG/", 404),
        ("/gdpr_msg", 404),
        ("/v1/GDPR_MSG/", 404),
        ("/V2/gdpr_verif", 404),
        ("/IDMOBILE/", 404),
        ("/v1/idmobile", 404),
    ] {
        let answer = running.get(&format!("{path}?x=1"));
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    assert!(running.received().is_empty());
}
