//! The licence parameter in a query: found, and taken out without touching
//! another byte.
//!
//! DQE's documents write `Licence` on the business paths and `licence` on ID
//! Mobile; callers write it in any case, repeat it, leave it empty or out.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

const NAME: &[u8] = b"licence";

/// `query` (what follows the `?`) without its licence parameters. Borrowed
/// when there is none, which is the common case; every other byte, the order
/// and even empty parameters (`a&&b`) stay as they are.
#[must_use]
pub fn without_licence(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_licence) {
        return Cow::Borrowed(query);
    }
    let mut kept = String::with_capacity(query.len());
    let mut separator = "";
    for parameter in query.split('&').filter(|parameter| !is_licence(parameter)) {
        kept.push_str(separator);
        kept.push_str(parameter);
        separator = "&";
    }
    Cow::Owned(kept)
}

/// Whether a `name=value` pair names the licence, in any case, also when its
/// name is percent-encoded, since the server would decode it.
fn is_licence(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    if name.len() == NAME.len() {
        return name.as_bytes().eq_ignore_ascii_case(NAME);
    }
    name.contains('%')
        && percent_decode_str(name)
            .map(|byte| byte.to_ascii_lowercase())
            .eq(NAME.iter().copied())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_licence_goes() {
        for (query, expected) in [
            ("", ""),
            ("Tel=0612&Pays=FRA", "Tel=0612&Pays=FRA"),
            ("Licence=X", ""),
            ("Licence=X&Tel=06", "Tel=06"),
            ("Tel=06&Licence=X", "Tel=06"),
            ("Tel=06&licence=&Pays=FRA", "Tel=06&Pays=FRA"),
            ("Tel=06&LICENCE&Pays=FRA", "Tel=06&Pays=FRA"),
            ("Licence=a&x=1&liCENce=b", "x=1"),
            ("L%69cence=X&x=1", "x=1"),
            ("%4c%49%43%45%4E%43%45=X&x=1", "x=1"),
            ("Licences=X", "Licences=X"),
            ("MaLicence=X", "MaLicence=X"),
            ("x=Licence&y=Licence=3", "x=Licence&y=Licence=3"),
            ("a&&b&Licence=1&", "a&&b&"),
            (
                "Email=a%2540b.fr&Tel=+33 6&A=%7C5|%E9&Licence=1",
                "Email=a%2540b.fr&Tel=+33 6&A=%7C5|%E9",
            ),
            ("?Licence=1&Licence=2", "?Licence=1"),
        ] {
            assert_eq!(without_licence(query), expected, "{query}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_stands_around_it_stays_byte_for_byte(
            before in proptest::collection::vec("[ -%'-~é]{0,12}", 0..5),
            value in "[ -%'-~]{0,12}",
            after in proptest::collection::vec("[ -%'-~é]{0,12}", 0..5),
            name in "[lL][iI][cC][eE][nN][cC][eE]",
        ) {
            let others: Vec<String> = before.iter().chain(&after).cloned().collect();
            prop_assume!(!others.iter().any(|other| is_licence(other)));
            let mut all = before.clone();
            all.push(format!("{name}={value}"));
            all.extend(after.clone());
            let joined = all.join("&");
            prop_assert_eq!(without_licence(&joined).into_owned(), others.join("&"));
        }
    }
}
