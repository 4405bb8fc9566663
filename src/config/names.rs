//! Host names and origins, in the one form they are compared in.

/// Why a text is no host or no origin.
pub(super) struct InvalidName {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
}

/// A `Host` without its port: a name, an IPv4 address, or an IPv6 address in
/// brackets; in lower case.
pub(super) fn host(text: &str) -> Result<String, InvalidName> {
    let wrong = |message| {
        Err(InvalidName {
            message,
            hint: "write a name such as \"dqe-proxy.internal\", without https://, port and path",
        })
    };
    if text.contains("://") || text.contains('/') {
        return wrong("a host is a name, not a URL");
    }
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return match inner.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(format!("[{address}]")),
            Err(_) => wrong("not an IPv6 address"),
        };
    }
    if text.contains(':') {
        return wrong("a host has no port here");
    }
    let is_name = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if !is_name {
        return wrong("not a host name");
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

/// An `Origin` as browsers send it: scheme, host, and the port when it is not
/// the scheme's own; in lower case.
pub(super) fn origin(text: &str) -> Result<String, InvalidName> {
    let wrong = |message| {
        Err(InvalidName {
            message,
            hint: "write \"https://intranet.example\": scheme, name, and a port if there is one",
        })
    };
    if text.contains('*') || matches!(text, "any" | "null") {
        return wrong("origins are named one by one: any page could spend the account");
    }
    let lower = text.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else {
        return wrong("an origin begins with https:// or http://");
    };
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return wrong("an origin begins with https:// or http://"),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return wrong("an origin has no path, query or user name");
    }
    let (name, port) = match rest.rfind(':') {
        Some(colon) if !rest[colon..].contains(']') => rest.split_at(colon),
        Some(_) | None => (rest, ""),
    };
    let is_port = port.is_empty() || port[1..].parse::<u16>().is_ok_and(|port| port != 0);
    if !is_port {
        return wrong("not a port");
    }
    let Ok(name) = host(name) else {
        return wrong("not a host name");
    };
    let port = if port == own_port { "" } else { port };
    Ok(format!("{scheme}://{name}{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_without_port() {
        for (text, expected) in [
            ("dqe-proxy.internal", Some("dqe-proxy.internal")),
            ("DQE.Internal.", Some("dqe.internal")),
            ("10.1.2.3", Some("10.1.2.3")),
            ("[::1]", Some("[::1]")),
            ("FD00::0:1", Some("[fd00::1]")),
            ("dqe:8080", None),
            ("https://dqe", None),
            ("dqe/path", None),
            ("*.internal", None),
            ("[dqe]", None),
            ("a b", None),
        ] {
            assert_eq!(host(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, expected) in [
            ("https://intranet.example", Some("https://intranet.example")),
            (
                "HTTPS://Intranet.Example:443/",
                Some("https://intranet.example"),
            ),
            ("http://intranet:8080", Some("http://intranet:8080")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("http://[::1]", Some("http://[::1]")),
            ("intranet.example", None),
            ("ftp://intranet", None),
            ("https://intranet/path", None),
            ("https://user@intranet", None),
            ("https://intranet:0", None),
            ("https://intranet:port", None),
            ("https://", None),
            ("null", None),
            ("*", None),
            ("any", None),
            ("https://*.example", None),
        ] {
            assert_eq!(origin(text).ok().as_deref(), expected, "{text}");
        }
    }
}
