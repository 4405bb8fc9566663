//! `/GDPR_MSG/` and `/GDPR_VERIF/`: consent by SMS. Nothing is sent from here; the right pin is
//! always 1234.

use super::answer::{Answered, require};
use super::json::Object;
use super::parameters::Parameters;

/// Pretends to send an SMS. The name `smsToken` is documented, the rest is inferred.
pub(crate) fn send(parameters: &Parameters) -> Answered {
    require(parameters, &["Phone", "Custom_sms", "Country", "Company"])?;
    let digits: String = parameters
        .text("Phone")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    Ok(Object::new()
        .with("status", "OK")
        .with("smsToken", sms_token(&digits)))
}

/// Checks the pin the user typed. Errors 01 to 05 are documented, which is which is inferred.
pub(crate) fn verify(parameters: &Parameters) -> Answered {
    require(parameters, &["Phone", "Token", "Pin"])?;
    let digits: String = parameters
        .text("Phone")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let (status, code, sentence) = if parameters.text("Token") != sms_token(&digits) {
        ("KO", "01", "unknown token")
    } else if parameters.text("Pin").trim() == "1234" {
        ("OK", "00", "no error")
    } else {
        ("KO", "02", "wrong pin")
    };
    Ok(Object::new()
        .with("status", status)
        .with("phone", digits)
        .with("errors", Object::new().with(code, sentence))
        .with(
            "channels",
            Object::new().with("sms", 1_i64).with("email", 0_i64),
        )
        .with("dateTime", "2030-01-01 00:00:00"))
}

/// The same number always has the same token.
fn sms_token(digits: &str) -> String {
    format!(
        "SMS{:016x}",
        digits.bytes().fold(7_u64, |sum, byte| sum
            .wrapping_mul(131)
            .wrapping_add(u64::from(byte)))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_checked_against_the_message_sent() {
        let token = sms_token("0612345678");
        let ask = |query: String| {
            verify(&Parameters::read(query.as_bytes(), b"", b""))
                .unwrap()
                .to_string()
        };
        assert!(
            ask(format!("Phone=0612345678&Token={token}&Pin=1234")).contains(r#""status":"OK""#)
        );
        assert!(ask(format!("Phone=0612345678&Token={token}&Pin=1")).contains(r#""02""#));
        assert!(ask("Phone=0612345678&Token=x&Pin=1234".to_owned()).contains(r#""01""#));
    }
}
