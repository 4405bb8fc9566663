use proptest::prelude::*;

use super::*;

const FAMILIES: [Scope; 8] = Scope::ALL;

#[test]
fn each_familys_refusal_is_known() {
    use Reading::{Certain, Suspicious};
    for (family, body, expected) in [
        (
            Scope::Email,
            r#"{"1":{"IdError":"** LICENCE KO **","eMail":""}}"#,
            Certain,
        ),
        (
            Scope::Email,
            r#"{"1":{"Redressement":0,"eMailOrigine":"a@b.fr","IdError":"** LICENCE KO **"}}"#,
            Certain,
        ),
        (Scope::Email, "unauthorized_client", Certain),
        (Scope::Email, " unauthorized_client\r\n", Certain),
        (Scope::Email, "\"unauthorized_client\"", Certain),
        (Scope::Email, "", Suspicious),
        (
            Scope::Phone,
            r#"{"1":{"TelOrigine":"","Tel":"","Geolocation":"","Ported":"","Operator":"","OldOperator":"","IdError":"Licence Down","Type":""}}"#,
            Certain,
        ),
        (
            Scope::Phone,
            r#"{"1":{"TelOrigine":"","Tel":"","LabelStatus":"Licence Down"}}"#,
            Certain,
        ),
        (Scope::Phone, "Licence Down", Certain),
        (
            Scope::IdMobile,
            r#"{"status":"error","error_type":"invalid or expired token","error_id":"30"}"#,
            Certain,
        ),
        (
            Scope::IdMobile,
            r#"{"error_id":30,"scope":"billing","status":"error"}"#,
            Certain,
        ),
        (
            Scope::IdMobile,
            r#"{"status":"error","error_type":"invalid licence key","error_id":"02"}"#,
            Reading::Honest,
        ),
        (
            Scope::IdMobile,
            r#"{"status":"success","scope":"matching","error_id":"30"}"#,
            Reading::Honest,
        ),
        (Scope::IdMobile, "{}", Suspicious),
        (
            Scope::Address,
            r#"{"status":"error","error_id":"30"}"#,
            Reading::Honest,
        ),
        (Scope::Address, "{}", Suspicious),
        (Scope::Address, " { }\n", Suspicious),
        (Scope::Address, "", Suspicious),
        (Scope::Address, "\r\n", Suspicious),
        (
            Scope::Address,
            r#"{"1":{"Latitude":"0.00","Longitude":"0.00"}}"#,
            Suspicious,
        ),
        (
            Scope::Address,
            r#"{"1":{"Latitude":0.00,"Longitude":0.00,"CodeQualiteGeo":""}}"#,
            Suspicious,
        ),
        (
            Scope::Email,
            r#"{"1":{"Latitude":"0.00","Longitude":"0.00"}}"#,
            Suspicious,
        ),
        (Scope::Civility, "{}", Suspicious),
        (
            Scope::B2b,
            r#"{"status":401,"message":"licence not allowed for this function","details":"TKx","error":"unauthorized_client"}"#,
            Certain,
        ),
    ] {
        assert_eq!(read(family, body.as_bytes(), true), expected, "{body}");
        let escaped = body.replace('\\', "\\\\").replace('"', "\\\"");
        for wrapped in [
            format!("jQuery1_2(\"{escaped}\")"),
            format!("/**/ns.cb[0] ( \"{escaped}\" );").replace(" (", "("),
            format!("cb({body})"),
        ] {
            assert_eq!(
                read(family, wrapped.as_bytes(), true),
                expected,
                "{wrapped}"
            );
        }
    }
}

#[test]
fn an_honest_answer_is_none_whatever_the_caller_asked_about() {
    for body in [
        r#"{"1":{"Instance":"0","IDLocalite":"75120"}}"#,
        r#"{"1":{"TelOrigine":"Licence Down","Tel":"","IdError":0,"Type":""}}"#,
        r#"{"1":{"TelOrigine":"06","IdError":1,"Type":"Licence Down"}}"#,
        r#"{"1":{"eMailOrigine":"unauthorized_client","IdError":"00"}}"#,
        r#"{"1":{"eMailOrigine":"** LICENCE KO **","eMail":"unauthorized_client","IdError":"04"}}"#,
        r#"{"1":{"eMailOrigine":"\"IdError\":\"** LICENCE KO **\"","IdError":"00"}}"#,
        r#"{"status":400,"message":"unauthorized_client","details":"unauthorized_client","error":"bad request"}"#,
        r#"{"Found":0,"Addresses":[]}"#,
        r#"{"suggest":[]}"#,
        "[]",
        "[{}]",
        r#"{"1":{}}"#,
        r#"{"1":{"Batiment":"A"},"Latitude":"0.00","Longitude":"0.00"}"#,
        r#"{"1":{"Latitude":"0.00","Longitude":"2.36"}}"#,
        r#"{"1":{"Latitude":"48.00","Longitude":"0.00"}}"#,
        "unauthorized_clients",
        "unauthorized_client of somebody",
        "<html>unauthorized_client</html>",
        "Bad Request",
        "cb(\"{\\\"1\\\":{\\\"IdError\\\":\\\"00\\\"}}\")",
        "null",
    ] {
        for family in FAMILIES {
            let reading = read(family, body.as_bytes(), true);
            assert_eq!(reading, Reading::Honest, "{family:?} {body}");
        }
    }
}

#[test]
fn a_body_in_pieces_is_unclear_until_it_can_be_told_and_never_read_wrongly() {
    for (family, body) in [
        (
            Scope::Email,
            r#"{"1":{"IdError":"** LICENCE KO **","eMail":""}}"#,
        ),
        (Scope::Email, "unauthorized_client"),
        (
            Scope::Phone,
            r#"{"1":{"TelOrigine":"06","Tel":"06","IdError":1}}"#,
        ),
        (
            Scope::Address,
            r#"{"1":{"Latitude":"0.00","Longitude":"0.00"}}"#,
        ),
        (Scope::Address, "{}"),
        (Scope::Civility, "cb(\"{}\")"),
        (
            Scope::Phone,
            "cb(\"{\\\"1\\\":{\\\"IdError\\\":\\\"Licence Down\\\"}}\")",
        ),
        (Scope::Address, r#"{"1":{"Instance":"0"}}"#),
    ] {
        let whole = read(family, body.as_bytes(), true);
        for length in 0..body.len() {
            let part = read(family, &body.as_bytes()[..length], false);
            assert!(
                part == Reading::Unclear || part == whole,
                "{} {part:?}",
                &body[..length]
            );
        }
    }
}

#[test]
fn an_ordinary_answer_is_told_by_its_first_bytes_and_no_more_than_the_limit_is_read() {
    assert_eq!(
        read(Scope::Address, br#"{"1":{"Instance":"0","#, false),
        Reading::Honest
    );
    assert_eq!(read(Scope::Civility, b"<", false), Reading::Honest);
    let endless = format!("{{\"1\":{{\"x\":\"{}", "y".repeat(LOOKED_AT));
    let late = format!("{endless}\",\"IdError\":\"** LICENCE KO **\"}}}}");
    assert_eq!(
        read(Scope::Email, &endless.as_bytes()[..500], false),
        Reading::Unclear
    );
    assert_eq!(
        read(Scope::Email, endless.as_bytes(), false),
        Reading::Honest
    );
    assert_eq!(read(Scope::Email, late.as_bytes(), true), Reading::Honest);
    let spaces = " ".repeat(LOOKED_AT + 1);
    assert_eq!(read(Scope::Email, spaces.as_bytes(), true), Reading::Honest);
}

/// Members as DQE writes them, refusals in and out of place, and what is near to them.
fn member() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "error_id",
        "IdError",
        "error",
        "status",
        "message",
        "details",
        "Latitude",
        "Longitude",
        "Tel",
        "TelOrigine",
        "Type",
        "Libelle_Long",
        "LabelStatus",
        "eMail",
        "",
        "unauthorized_client",
    ]);
    let value = prop::sample::select(vec![
        "\"** LICENCE KO **\"",
        "\"Licence Down\"",
        "\" Licence Down \"",
        "\"unauthorized_client\"",
        "30",
        "\"30\"",
        "\"Licence\"",
        "\"MOBILE\"",
        "\"0.00\"",
        "\"\"",
        "1",
        "0",
        "null",
        "{}",
        "[]",
        "\"unauthorized\"",
        "\"LICENCE KO\"",
        "{\"IdError\":\"Licence Down\"}",
    ]);
    (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

proptest! {
    #[test]
    fn a_whole_document_reads_as_its_members_one_by_one_do(
        members in prop::collection::vec(member(), 0..7),
        is_nested in any::<bool>(),
    ) {
        let members = members.join(",");
        let body = if is_nested { format!("{{\"1\":{{{members}}}}}") } else { format!("{{{members}}}") };
        // Each member is taken apart in a call of JSONP.
        let called = format!("cb({body})");
        for family in FAMILIES {
            prop_assert_eq!(
                read(family, body.as_bytes(), true),
                read(family, called.as_bytes(), true),
                "{:?} {}", family, body
            );
        }
    }
}
