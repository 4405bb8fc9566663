//! Redirects of DQE: what a `Location` says to a caller that has no credential.
//! Pure.

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue};

use crate::dqe::licence;
use crate::upstream::Server;

/// A redirect to the server itself would lead the caller past the proxy, where
/// it has no credential: the reference becomes relative to the proxy. The
/// licence parameter in it, `name`, is the proxy's and goes.
pub(super) fn keep_on_the_proxy(fields: &mut HeaderMap, server: &Server, name: &str) {
    let Some(location) = fields.get(LOCATION) else {
        return;
    };
    if let Some(without) = without_licence(location, name) {
        fields.insert(LOCATION, without);
    }
    let Some(location) = fields
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
    else {
        return;
    };
    let origin = server.origin();
    let rest = match location.get(..origin.len()) {
        Some(start) if start.eq_ignore_ascii_case(&origin) => &location[origin.len()..],
        Some(_) | None => return,
    };
    let relative = match rest.as_bytes().first() {
        Some(b'/') if !rest.starts_with("//") => HeaderValue::from_str(rest),
        None => HeaderValue::from_str("/"),
        Some(_) => return,
    };
    if let Ok(relative) = relative {
        fields.insert(LOCATION, relative);
    }
}

/// The reference without the licence parameter in its query; `None` when there
/// is none in it.
fn without_licence(reference: &HeaderValue, name: &str) -> Option<HeaderValue> {
    let text = reference.as_bytes();
    let end = text.iter().position(|byte| *byte == b'#');
    let (text, fragment) = text.split_at(end.unwrap_or(text.len()));
    let start = text.iter().position(|byte| *byte == b'?')?;
    let (path, query) = (&text[..start], &text[start + 1..]);
    if !licence::is_in(query, name) {
        return None;
    }
    let query = licence::without(query, name);
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    HeaderValue::from_bytes(&[path, mark, &query, fragment].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_the_server_itself_stays_on_the_proxy() {
        let server = Server::parse("https://dqe.example").unwrap();
        for (location, expected) in [
            ("https://dqe.example/TEL/?Tel=1", "/TEL/?Tel=1"),
            ("HTTPS://DQE.example/TEL/", "/TEL/"),
            ("https://dqe.example", "/"),
            (
                "https://dqe.example//evil.example/",
                "https://dqe.example//evil.example/",
            ),
            (
                "https://dqe.example.evil.example/",
                "https://dqe.example.evil.example/",
            ),
            ("https://dqe.example:8443/", "https://dqe.example:8443/"),
            ("http://dqe.example/", "http://dqe.example/"),
            ("/TEL/", "/TEL/"),
            ("https://dqe.example/TEL/?Licence=TK", "/TEL/"),
            ("/TEL/?Tel=1&l%69cence=TK#end", "/TEL/?Tel=1#end"),
            (
                "https://other.example/?Licence=TK&x=1",
                "https://other.example/?x=1",
            ),
            ("/TEL/#?Licence=TK", "/TEL/#?Licence=TK"),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(LOCATION, HeaderValue::from_static(location));
            keep_on_the_proxy(&mut fields, &server, "Licence");
            assert_eq!(fields[LOCATION], expected, "{location}");
        }
    }
}
