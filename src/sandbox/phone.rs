//! Phone numbers: formatted, classified, attributed to an operator by their prefix. The members
//! of the answers are documented; most of their values are plausible inventions.

use super::answer::{Answered, require};
use super::json::{Json, Object};
use super::parameters::Parameters;

/// A number as understood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Number {
    /// Ten digits beginning with 0 for France; the digits typed otherwise.
    national: String,
    valid: bool,
    kind: &'static str,
    operator: &'static str,
    location: &'static str,
}

/// `/TEL/`.
pub(crate) fn classic(parameters: &Parameters) -> Answered {
    require(parameters, &["Tel"])?;
    let typed = parameters.text("Tel");
    let number = understand(typed, parameters.filled("Pays").unwrap_or("FRA"));
    let format = parameters.filled("Format").unwrap_or("0");
    let separator = parameters.filled("Separator").unwrap_or(" ");
    let record = Object::new()
        .with("TelOrigine", typed)
        .with(
            "Tel",
            if number.valid {
                formatted(&number.national, format, separator)
            } else {
                String::new()
            },
        )
        .with("Geolocation", number.location)
        .with("Ported", "")
        .with("Operator", number.operator)
        .with("OldOperator", number.operator)
        .with("IdError", i64::from(number.valid))
        .with("Type", number.kind);
    let record = if parameters.text("Status").eq_ignore_ascii_case("Y") && number.valid {
        record.with("Status", "1").with("LabelStatus", "ACTIVE")
    } else {
        record
    };
    Ok(Object::numbered("", [record]))
}

/// `/v1/phonelookup/`.
pub(crate) fn rest_older(parameters: &Parameters) -> Answered {
    require(parameters, &["Number", "Country", "Format"])?;
    let number = understand(parameters.text("Number"), parameters.text("Country"));
    let record = rest_record(
        &number,
        parameters.text("Number"),
        parameters.text("Format"),
        " ",
    );
    Ok(Object::listed("Phones", vec![record]))
}

/// `/v1/phone/lookup`; the shape of its answer is inferred from the older path.
pub(crate) fn rest(parameters: &Parameters) -> Answered {
    require(parameters, &["country", "phone"])?;
    let number = understand(parameters.text("phone"), parameters.text("country"));
    let format = parameters.filled("format").unwrap_or("0");
    let separator = parameters.filled("separator").unwrap_or(" ");
    let record = rest_record(&number, parameters.text("phone"), format, separator);
    let record = if parameters.text("status") == "true" {
        record.with("Status", Json::from("ACTIVE"))
    } else {
        record
    };
    Ok(Object::listed("Phones", vec![record]))
}

fn rest_record(number: &Number, typed: &str, format: &str, separator: &str) -> Object {
    Object::new()
        .with("IdError", i64::from(number.valid).to_string())
        .with("InputNumber", typed)
        .with(
            "NumberFormatted",
            if number.valid {
                formatted(&number.national, format, separator)
            } else {
                String::new()
            },
        )
        .with("Carrier", number.operator)
        .with("Type", number.kind)
        .with("Location", if number.valid { "METROPOLE" } else { "" })
}

/// A raw `+` arrives as a space: a number of eleven digits that begins with 33 is French too.
fn understand(typed: &str, country: &str) -> Number {
    let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
    let unknown = |national: String| Number {
        national,
        valid: false,
        kind: "",
        operator: "",
        location: "",
    };
    let country = country.trim();
    if !(country.eq_ignore_ascii_case("FRA")
        || country.eq_ignore_ascii_case("FR")
        || country == "33")
    {
        let plausible = (7..=15).contains(&digits.len());
        return Number {
            valid: plausible,
            kind: "UNKNOWN",
            location: "FOREIGN",
            ..unknown(digits)
        };
    }
    let national = ["0033", "33"]
        .into_iter()
        .find_map(|prefix| digits.strip_prefix(prefix))
        .map(|rest| rest.strip_prefix('0').unwrap_or(rest))
        .filter(|rest| rest.len() == 9)
        .map_or_else(|| digits.clone(), |rest| format!("0{rest}"));
    if national.len() != 10 || !national.starts_with('0') {
        return unknown(national);
    }
    let (kind, operator) = match &national[1..3] {
        "60" | "61" | "62" => ("MOBILE", "SFR"),
        "63" | "64" | "67" | "68" => ("MOBILE", "ORANGE"),
        "65" | "66" | "69" => ("MOBILE", "BOUYGUES TELECOM"),
        "70" | "71" | "72" | "73" | "74" | "75" | "76" | "77" | "78" => ("MOBILE", "FREE MOBILE"),
        "80" | "81" | "82" | "89" => ("SPECIAL", ""),
        "00" => return unknown(national),
        second if second.starts_with(['1', '2', '3', '4', '5']) => ("FIXE", "ORANGE"),
        second if second.starts_with('9') => ("VOIP", "FREE"),
        _ => return unknown(national),
    };
    let location = match national.as_bytes().get(1) {
        Some(b'1') => "ILE DE FRANCE",
        Some(b'2') => "NORD OUEST",
        Some(b'3') => "NORD EST",
        Some(b'4') => "SUD EST",
        Some(b'5') => "SUD OUEST",
        _ => "FRANCE",
    };
    Number {
        national,
        valid: true,
        kind,
        operator,
        location,
    }
}

/// The formats 0 to 9 are documented, not what each looks like. Here 0 is as dialled, 1 in pairs
/// with a separator, 2 `+33…`, 3 `0033…`, and the others look like 0.
fn formatted(national: &str, format: &str, separator: &str) -> String {
    let separator = if matches!(separator, "-" | ".") {
        separator
    } else {
        " "
    };
    let abroad = national.strip_prefix('0').unwrap_or(national);
    match format.trim() {
        "1" => {
            let pairs: Vec<String> = national
                .as_bytes()
                .chunks(2)
                .map(|pair| pair.iter().map(|byte| char::from(*byte)).collect())
                .collect();
            pairs.join(separator)
        }
        "2" => format!("+33{abroad}"),
        "3" => format!("0033{abroad}"),
        _ => national.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_understood_however_they_are_typed() {
        for (typed, national, kind) in [
            ("0612345678", "0612345678", "MOBILE"),
            ("06 12-34.56 78", "0612345678", "MOBILE"),
            (" 33 6 12 34 56 78", "0612345678", "MOBILE"),
            ("+33(0)612345678", "0612345678", "MOBILE"),
            ("0033145678901", "0145678901", "FIXE"),
            ("0970123456", "0970123456", "VOIP"),
            ("0800123456", "0800123456", "SPECIAL"),
        ] {
            let number = understand(typed, "FRA");
            assert_eq!(
                (number.national.as_str(), number.kind, number.valid),
                (national, kind, true),
                "{typed}"
            );
        }
        for typed in ["", "12", "1612345678", "0012345678", "bonjour"] {
            assert!(!understand(typed, "FRA").valid, "{typed}");
        }
    }

    #[test]
    fn formats_and_separators_are_applied() {
        for (format, separator, expected) in [
            ("0", " ", "0612345678"),
            ("1", ".", "06.12.34.56.78"),
            ("1", "<", "06 12 34 56 78"),
            ("2", " ", "+33612345678"),
            ("3", " ", "0033612345678"),
        ] {
            assert_eq!(formatted("0612345678", format, separator), expected);
        }
    }

    #[test]
    fn the_classic_answer_has_the_documented_members() {
        let parameters = Parameters::read(b"Tel=0612345678&Status=Y", b"", b"");
        assert_eq!(
            classic(&parameters).unwrap().to_string(),
            r#"{"1":{"TelOrigine":"0612345678","Tel":"0612345678","Geolocation":"FRANCE","Ported":"","Operator":"SFR","OldOperator":"SFR","IdError":1,"Type":"MOBILE","Status":"1","LabelStatus":"ACTIVE"}}"#
        );
    }
}
