//! E-mail addresses: verdicts, corrections, suggestions.
//!
//! `IdError`: documented are the codes 00 to 04, 91 to 95 and 99, the meaning of 04 (missing) and
//! of 99 (service unavailable, to be taken as right). Inferred: 00 right · 01 syntax · 02 domain ·
//! 03 unknown user · 91 doubtful. Which address is which is made up: a user `unknown` is 03,
//! `trash` 91, `busy` 99.

use super::answer::{Answered, require};
use super::data::MAIL_DOMAINS;
use super::json::Object;
use super::parameters::Parameters;
use super::spelling::fold;

/// What is thought of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opinion {
    code: &'static str,
    /// The address, or the one that was meant.
    address: String,
    corrected: bool,
}

/// `/DQEEMAILLOOKUP/`.
pub(crate) fn classic(parameters: &Parameters) -> Answered {
    let typed = parameters.text("Email");
    let opinion = judge(typed, rectifies(parameters.text("Rectify")));
    let record = Object::new()
        .with("Redressement", i64::from(opinion.corrected))
        .with("eMailOrigine", typed)
        .with("IdError", opinion.code)
        .with("eMail", opinion.address.as_str())
        .with("CodeActivite", activity(&opinion));
    Ok(Object::numbered("", [record]))
}

/// `/MAILSUGGEST/`: all three may be empty, none may be absent.
pub(crate) fn suggest(parameters: &Parameters) -> Answered {
    require(parameters, &["Nom", "Prenom", "Email"])?;
    let list = suggestions(
        parameters.text("Prenom"),
        parameters.text("Nom"),
        parameters.text("Email"),
    );
    let syntax = if parameters.text("Email").contains(' ') {
        "ko"
    } else {
        "ok"
    };
    Ok(Object::new()
        .with("Instance", parameters.text("Instance"))
        .with("suggest", list)
        .with("syntaxe", syntax))
}

/// `/v1/lookupemail/`.
pub(crate) fn rest_older(parameters: &Parameters) -> Answered {
    require(parameters, &["Email"])?;
    let typed = parameters.text("Email");
    let opinion = judge(typed, rectifies(parameters.text("Rectify")));
    let record = Object::new()
        .with("IdError", opinion.code)
        .with("Corrected", i64::from(opinion.corrected))
        .with("SuggestedEmail", opinion.address.as_str())
        .with("InputEmail", typed)
        .with("ActivityCode", activity(&opinion));
    Ok(Object::listed("Emails", vec![record]))
}

/// `/v1/emailsuggest/`.
pub(crate) fn rest_suggest(parameters: &Parameters) -> Answered {
    require(parameters, &["FirstName", "LastName", "Email"])?;
    let list = suggestions(
        parameters.text("FirstName"),
        parameters.text("LastName"),
        parameters.text("Email"),
    );
    let records = list
        .into_iter()
        .map(|email| Object::new().with("Email", email))
        .collect();
    Ok(Object::listed("Emails", records))
}

/// `/v1/email/lookup`.
pub(crate) fn rest(parameters: &Parameters) -> Answered {
    require(parameters, &["email"])?;
    let typed = parameters.text("email");
    let opinion = judge(typed, rectifies(parameters.text("rectify")));
    Ok(Object::new()
        .with("IdError", opinion.code.parse::<i64>().unwrap_or_default())
        .with("Error", sentence(opinion.code))
        .with("Input", typed)
        .with("Formatted", opinion.address.as_str())
        .with("Corrected", opinion.corrected))
}

/// Callers write `y`, `1` or `true`; absent means no.
fn rectifies(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "y" | "1" | "o" | "true"
    )
}

fn judge(typed: &str, rectify: bool) -> Opinion {
    // Some callers encode twice, so one layer may be left.
    let typed = typed.trim().replace("%40", "@").to_lowercase();
    let as_typed = |code| Opinion {
        code,
        address: typed.clone(),
        corrected: false,
    };
    if typed.is_empty() {
        return as_typed("04");
    }
    let Some((user, domain)) = typed.rsplit_once('@') else {
        return as_typed("01");
    };
    if !is_user(user) || !is_domain(domain) {
        return as_typed("01");
    }
    if !MAIL_DOMAINS.contains(&domain)
        && let Some(meant) = domain_meant(domain)
    {
        let address = format!("{user}@{meant}");
        return if rectify {
            Opinion {
                code: "00",
                address,
                corrected: true,
            }
        } else {
            Opinion {
                code: "02",
                address,
                corrected: false,
            }
        };
    }
    match user {
        "unknown" => as_typed("03"),
        "trash" => as_typed("91"),
        "busy" => as_typed("99"),
        _ if domain.ends_with(".invalid") => as_typed("02"),
        _ => as_typed("00"),
    }
}

fn is_user(user: &str) -> bool {
    let sober = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-'~".contains(&byte);
    !user.is_empty() && user.len() <= 64 && !user.starts_with('.') && user.bytes().all(sober)
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    domain.contains('.') && domain.len() <= 253 && domain.split('.').all(label)
}

/// The common domain one or two slips away.
fn domain_meant(domain: &str) -> Option<&'static str> {
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, domain);
    // A long domain is no slip of a short one, and comparing it would be slow.
    let near = MAIL_DOMAINS
        .iter()
        .filter(|known| known.len().abs_diff(domain.len()) <= 2);
    near.min_by_key(distance)
        .filter(|known| (1..=2).contains(&distance(known)))
        .copied()
}

fn activity(opinion: &Opinion) -> &'static str {
    match opinion.code {
        "00" => "200",
        "03" => "500",
        _ => "",
    }
}

fn sentence(code: &str) -> &'static str {
    match code {
        "00" => "OK",
        "01" => "syntax error",
        "02" => "unknown domain",
        "03" => "unknown user",
        "04" => "missing email",
        "99" => "service unavailable",
        _ => "doubtful",
    }
}

/// Before the `@`: made from the names. After it: the domains that begin as typed.
fn suggestions(first_name: &str, last_name: &str, typed: &str) -> Vec<String> {
    let typed = typed.trim().to_lowercase();
    if let Some((user, domain)) = typed.split_once('@') {
        let known = MAIL_DOMAINS
            .iter()
            .filter(|known| known.starts_with(domain));
        return known.map(|known| format!("{user}@{known}")).collect();
    }
    let word = |name: &str| fold(name).replace(' ', "").to_lowercase();
    let (first, last) = (word(first_name), word(last_name));
    if first.is_empty() || last.is_empty() {
        return Vec::new();
    }
    let initial: String = first.chars().take(1).collect();
    [
        format!("{initial}.{last}@"),
        format!("{first}.{last}@"),
        format!("{first}{last}@"),
        format!("{last}.{first}@"),
    ]
    .into_iter()
    .filter(|made| made.starts_with(&typed))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_address_has_its_code() {
        for (typed, rectify, code, address) in [
            ("a@example.fr", false, "00", "a@example.fr"),
            ("A@Example.FR", false, "00", "a@example.fr"),
            ("a%40example.fr", false, "00", "a@example.fr"),
            ("a@gmial.com", false, "02", "a@gmail.com"),
            ("a@gmial.com", true, "00", "a@gmail.com"),
            ("a@company-of-mine.fr", true, "00", "a@company-of-mine.fr"),
            ("no at", true, "01", "no at"),
            ("a@b", true, "01", "a@b"),
            ("@example.fr", true, "01", "@example.fr"),
            ("unknown@example.fr", true, "03", "unknown@example.fr"),
            ("busy@example.fr", true, "99", "busy@example.fr"),
            ("", true, "04", ""),
        ] {
            let opinion = judge(typed, rectify);
            assert_eq!(
                (opinion.code, opinion.address.as_str()),
                (code, address),
                "{typed}"
            );
        }
    }

    #[test]
    fn suggestions_are_made_from_names_then_from_domains() {
        assert!(suggestions("Jeanne", "Doé", "").contains(&"j.doe@".to_owned()));
        assert_eq!(suggestions("J", "D", "j.doe@gm"), ["j.doe@gmail.com"]);
        assert!(suggestions("", "", "").is_empty());
    }

    #[test]
    fn a_missing_email_is_an_answer_on_the_classic_path() {
        let answer = classic(&Parameters::default()).unwrap().to_string();
        assert!(answer.contains(r#""IdError":"04""#), "{answer}");
    }
}
