//! Whatever comes, it answers.

use proptest::prelude::*;

use super::{raw, started};

const PATHS: [&str; 24] = [
    "SINGLEV2",
    "SINGLE",
    "COMPLV2",
    "CP",
    "ADR",
    "NUM",
    "RNVP",
    "LATLG",
    "TEL",
    "DQEEMAILLOOKUP",
    "MAILSUGGEST",
    "FIRSTNAMESUGGEST",
    "RECSIRET",
    "SIRETINFO",
    "SEARCH",
    "IDMOBILE",
    "GDPR_VERIF",
    "GETINFOLIFESTYLE",
    "v1/single",
    "v1/checkaddress",
    "v1/phone/lookup",
    "v1/email/lookup",
    "v1/lookupcname",
    "oauth/access_token",
];
const NAMES: [&str; 36] = [
    "Adresse",
    "Address",
    "Pays",
    "Country",
    "Licence",
    "Tel",
    "Email",
    "email",
    "phone",
    "country",
    "Nom",
    "Prenom",
    "CodePostal",
    "IDVoie",
    "IDNum",
    "Num",
    "Lat",
    "Lon",
    "DistAdr",
    "NbMax",
    "Limit",
    "NBResponse",
    "Format",
    "Separator",
    "CompanyName",
    "Siret",
    "SEARCH_REF",
    "SearchRef",
    "Firstname",
    "LastName",
    "FirstName",
    "PostalCode",
    "City",
    "Version",
    "callback",
    "Instance",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each case asks every path with the same parameters, pipelined on one connection.
    #[test]
    fn no_request_makes_it_panic(
        pairs in prop::collection::vec((0..NAMES.len(), prop::collection::vec(any::<u8>(), 0..24), any::<String>()), 0..14),
        body in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..4_usize,
    ) {
        // The licence code lets every request in, so that the families themselves are reached.
        let mut query = b"Licence=SANDBOX&token=SANDBOX&licence=SANDBOX&".to_vec();
        for (name, bytes, text) in &pairs {
            query.extend_from_slice(format!("{}=", NAMES[*name]).as_bytes());
            // Half raw bytes, half encoded text: both kinds of surprise.
            query.extend(bytes.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
            query.extend(text.bytes().flat_map(|byte| format!("%{byte:02x}").into_bytes()));
            query.push(b'&');
        }
        let content_type = ["", "application/json", "application/x-www-form-urlencoded", "x/y"][kind];
        let mut request = Vec::new();
        for path in PATHS {
            request.extend_from_slice(format!("POST /{path}/?").as_bytes());
            request.extend_from_slice(&query);
            let head = format!(" HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
            request.extend_from_slice(head.as_bytes());
            request.extend_from_slice(&body);
        }
        request.extend_from_slice(b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (reply, panics) = runtime.block_on(async {
            let sandbox = started().await;
            sandbox.set_switch("licence-code", "on").unwrap();
            let reply = raw(sandbox.address(), &request).await;
            (reply, sandbox.counters().panics)
        });
        prop_assert_eq!(panics, 0);
        let answers = reply.text.matches("HTTP/1.1 ").count();
        prop_assert_eq!(answers, PATHS.len() + 1, "{:?} {}", reply.end, reply.text);
    }
}
