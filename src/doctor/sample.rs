//! The harmless calls: documented, without side effects, with data that is nobody's. And what an
//! answer to one of them means. Pure.
//!
//! Nothing of ID Check, lifestyle or relocation is called: their requests are not documented.
//! Nothing of SMS confirmation or ID Mobile: calling them does something.

use serde_json::Value;

/// One harmless call.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    /// The path, as DQE documents it.
    pub path: &'static str,
    /// The rest of the target, percent-encoded, without a licence.
    pub query: &'static str,
    /// The family, for people.
    pub family: &'static str,
    /// Whether DQE documents a licence parameter here.
    pub takes_licence: bool,
}

/// A well-known street, a number and domains reserved for examples. Each is sure to be answered
/// with something, so that an answer of nothing means a refusal.
pub const SAMPLES: &[Sample] = &[
    Sample {
        path: "/SINGLEV2/",
        query: "Adresse=18%20rue%20de%20rivoli%20paris&Pays=FRA&NbMax=1&Instance=0",
        family: "address",
        takes_licence: true,
    },
    Sample {
        path: "/v1/single/",
        query: "Address=18%20rue%20de%20rivoli%20paris&Country=FRA&Limit=1",
        family: "address, RESTful",
        takes_licence: true,
    },
    Sample {
        path: "/SINGLE/",
        query: "Pays=FRA&Lat=48.8634&Lon=2.4012&DistAdr=0.5",
        family: "geocoding",
        takes_licence: true,
    },
    Sample {
        path: "/TEL/",
        query: "Tel=0199000000&Pays=FRA&Format=0",
        family: "phone",
        takes_licence: true,
    },
    Sample {
        path: "/v1/phone/lookup",
        query: "country=FRA&phone=0199000000",
        family: "phone, RESTful",
        takes_licence: false,
    },
    Sample {
        path: "/DQEEMAILLOOKUP/",
        query: "Email=somebody%40example.com",
        family: "e-mail",
        takes_licence: true,
    },
    Sample {
        path: "/v1/email/lookup",
        query: "email=somebody%40example.com",
        family: "e-mail, RESTful",
        takes_licence: false,
    },
    Sample {
        path: "/FIRSTNAMESUGGEST/",
        query: "Firstname=alic&NBResponse=1&Country=FRA",
        family: "name",
        takes_licence: true,
    },
    Sample {
        path: "/RECSIRET/",
        query: "CompanyName=boulangerie&Country=FRA&Dictionary=Y&NbMax=1",
        family: "companies",
        takes_licence: true,
    },
];

/// What an answer to a sample means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The credential was taken.
    Taken,
    /// The credential was refused, in this way.
    Refused(&'static str),
    /// An answer of nothing: on these paths the way a refusal looks.
    Nothing,
    /// No such path, on this server.
    NoSuchPath,
    /// A web page.
    Page,
    /// A redirect.
    Redirect,
    /// Too many calls.
    Throttled,
    /// Any other status.
    Status(u16),
}

/// DQE's refusals that stand inside an answer, whatever its status. No honest answer holds them.
const REFUSALS: [&str; 3] = ["** LICENCE KO **", "unauthorized_client", "Licence Down"];

/// Reads an answer.
pub(super) fn meaning(status: u16, body: &[u8]) -> Meaning {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if status == 401 {
        return Meaning::Refused("401");
    }
    if status == 403 {
        return Meaning::Refused("403");
    }
    if let Some(word) = REFUSALS.into_iter().find(|word| text.contains(word)) {
        return Meaning::Refused(word);
    }
    match status {
        200..=299 => success(text),
        300..=399 => Meaning::Redirect,
        400 if asks_for_licence(text) => Meaning::Refused("400, asks for Licence"),
        404 => Meaning::NoSuchPath,
        429 => Meaning::Throttled,
        other => Meaning::Status(other),
    }
}

fn success(text: &str) -> Meaning {
    if text.starts_with('<') {
        return Meaning::Page;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) if !members.is_empty() && !is_nowhere(&members) => {
            Meaning::Taken
        }
        Ok(Value::Array(list)) if !list.is_empty() => Meaning::Taken,
        Ok(_) => Meaning::Nothing,
        Err(_) if text.is_empty() => Meaning::Nothing,
        Err(_) => Meaning::Page,
    }
}

/// `{"1":{"Latitude":"0.00","Longitude":"0.00"}}`: geocoding's way to say no.
fn is_nowhere(members: &serde_json::Map<String, Value>) -> bool {
    let zero = |record: &Value, name: &str| {
        let value = record.get(name);
        value.and_then(Value::as_str).is_some_and(|text| {
            text.parse::<f64>()
                .is_ok_and(|number| number.abs() < f64::EPSILON)
        })
    };
    let mut records = members.values();
    records.all(|record| zero(record, "Latitude") && zero(record, "Longitude"))
}

/// The RESTful 400 for a missing or empty licence.
fn asks_for_licence(text: &str) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    ["message", "details"].into_iter().any(|name| {
        let text = members.get(name).and_then(Value::as_str);
        text.is_some_and(|text| text.contains("Licence"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_dqe_documents() {
        for (status, body, expected) in [
            (
                200,
                r#"{"1":{"label":"5 RUE X|75020 PARIS"}}"#,
                Meaning::Taken,
            ),
            (200, r#"{"Found":1,"Addresses":[{}]}"#, Meaning::Taken),
            (200, r#"[{"City":"PARIS"}]"#, Meaning::Taken),
            (200, r#"{"1":{"IdError":"02","eMail":""}}"#, Meaning::Taken),
            (200, "{}", Meaning::Nothing),
            (200, "", Meaning::Nothing),
            (200, " \r\n", Meaning::Nothing),
            (200, "[]", Meaning::Nothing),
            (
                200,
                r#"{"1":{"Latitude":"0.00","Longitude":"0.00"}}"#,
                Meaning::Nothing,
            ),
            (
                200,
                r#"{"1":{"Latitude":"48.83","Longitude":"2.23"}}"#,
                Meaning::Taken,
            ),
            (
                200,
                r#"{"1":{"IdError":"** LICENCE KO **","eMail":""}}"#,
                Meaning::Refused("** LICENCE KO **"),
            ),
            (
                200,
                "unauthorized_client",
                Meaning::Refused("unauthorized_client"),
            ),
            (
                200,
                r#"{"1":{"IdError":"Licence Down"}}"#,
                Meaning::Refused("Licence Down"),
            ),
            (401, "", Meaning::Refused("401")),
            (403, "forbidden", Meaning::Refused("403")),
            (
                400,
                r#"{"status":400,"message":"Missing parameters","details":"Licence","error":"bad request"}"#,
                Meaning::Refused("400, asks for Licence"),
            ),
            (
                400,
                r#"{"status":400,"message":"Licence must be filled","details":"","error":"bad request"}"#,
                Meaning::Refused("400, asks for Licence"),
            ),
            (400, "Bad Request", Meaning::Status(400)),
            (200, "<html>maintenance</html>", Meaning::Page),
            (200, "hello", Meaning::Page),
            (302, "", Meaning::Redirect),
            (404, "Not Found", Meaning::NoSuchPath),
            (429, "", Meaning::Throttled),
            (500, "", Meaning::Status(500)),
        ] {
            assert_eq!(
                meaning(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn no_sample_does_something_and_each_is_in_the_catalogue() {
        use crate::dqe::catalogue::{CATALOGUE, strip_version};
        for sample in SAMPLES {
            let path = strip_version(sample.path.trim_matches('/'));
            let entry = CATALOGUE
                .iter()
                .find(|entry| entry.path.eq_ignore_ascii_case(path))
                .unwrap_or_else(|| panic!("{} is not in the catalogue", sample.path));
            assert!(!entry.side_effects, "{}", sample.path);
            assert!(
                !sample.query.to_ascii_lowercase().contains("licence"),
                "{}",
                sample.path
            );
        }
    }
}
