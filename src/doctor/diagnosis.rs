//! From what was seen to causes. Pure.
//!
//! The first finding is the one to look at first: what comes later in a call's life may only be
//! its consequence.

use super::calls::of_calls;
use super::observation::{Observations, Oddity, Reached, SecretSeen};
use super::reach::Obstacle;
use super::report::{Finding, Side};
use super::tokens::of_tokens;

/// Difference of two clocks that is worth a word, in seconds.
const CLOCKS_APART: i64 = 10;

/// Every cause that what was seen points to.
pub(super) fn diagnose(seen: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for server in &seen.servers {
        findings.extend(of_server(server));
    }
    findings.extend(of_secret(seen));
    findings.extend(of_next_secret(seen));
    findings.extend(of_tokens(seen));
    findings.extend(of_calls(seen));
    findings.extend(of_clock(seen));
    // Stable: causes stay in the order of a call's life, advice goes last.
    findings.sort_by_key(|finding| !finding.is_problem);
    findings
}

fn of_server(server: &Reached) -> Option<Finding> {
    let Reached {
        origin, host, port, ..
    } = server;
    if let Some(obstacle) = server.obstacle() {
        return Some(of_obstacle(obstacle, origin, host, *port));
    }
    match server.http.as_ref()? {
        Ok(_) => None,
        Err(failed) => Some(Finding::problem(
            "no_http",
            Side::Network,
            format!("{origin} is reached, but is no web server that answers: {failed}"),
            "check the port in dqe.servers; ask whether a firewall or proxy on the way cuts the connection",
        )),
    }
}

fn of_obstacle(obstacle: &Obstacle, origin: &str, host: &str, port: u16) -> Finding {
    match obstacle {
        Obstacle::Name(why) => Finding::problem(
            "name_not_resolved",
            Side::Network,
            format!("the name {host} is not resolved: {why}"),
            "check the spelling in dqe.servers, and that this machine's DNS resolves names outside",
        ),
        Obstacle::ResolverSilent => Finding::problem(
            "resolver_silent",
            Side::Network,
            "this machine's DNS does not answer",
            "check its resolver: /etc/resolv.conf, or the container's DNS settings",
        ),
        Obstacle::Refused => Finding::problem(
            "connection_refused",
            Side::Network,
            format!("{host} refuses connections on port {port}"),
            "check the port in dqe.servers; a firewall that rejects looks the same: let this machine connect out",
        ),
        Obstacle::Network(why) => Finding::problem(
            "no_connection",
            Side::Network,
            format!("{host} port {port} cannot be connected to: {why}"),
            "check routes and firewalls between this machine and DQE",
        ),
        Obstacle::Silent(patience) => Finding::problem(
            "connection_silent",
            Side::Network,
            format!(
                "{host} port {port} gives no connection within {}",
                super::steps::shown(*patience)
            ),
            "a firewall that drops packets looks like this: let this machine connect out; or DQE allows known addresses only and has to be told yours",
        ),
        Obstacle::TlsSilent(patience) => Finding::problem(
            "tls_silent",
            Side::Network,
            format!(
                "{host} port {port} takes connections and does not answer the TLS handshake within {}",
                super::steps::shown(*patience)
            ),
            "check that the port is one for HTTPS; a firewall that inspects TLS and stumbles over it looks like this",
        ),
        Obstacle::UnknownAuthority => Finding::problem(
            "tls_unknown_authority",
            Side::Network,
            format!(
                "the certificate of {origin} is signed by an authority this machine does not trust"
            ),
            "when a TLS-inspecting proxy stands in between, name its authority in upstream.ca_files; otherwise update the system's certificates",
        ),
        Obstacle::WrongName => Finding::problem(
            "tls_wrong_name",
            Side::Settings,
            format!("the server that answers for {host} shows a certificate for another name"),
            "write the server's own name in dqe.servers, as DQE gave it: not an address, not an alias",
        ),
        Obstacle::Expired => Finding::problem(
            "tls_certificate_expired",
            Side::Dqe,
            format!("the certificate of {origin} has expired by this machine's clock"),
            "check this machine's date first; when it is right, tell DQE",
        ),
        Obstacle::NotYetValid => Finding::problem(
            "tls_not_yet_valid",
            Side::Network,
            format!("the certificate of {origin} is not valid yet by this machine's clock"),
            "set this machine's date",
        ),
        Obstacle::NoTls => Finding::problem(
            "tls_not_spoken",
            Side::Settings,
            format!("what answers on {host} port {port} does not speak TLS"),
            "check the port in dqe.servers; write http:// only for a server on this machine",
        ),
        Obstacle::Tls(why) => Finding::problem(
            "tls_failed",
            Side::Network,
            format!("the TLS handshake with {origin} fails: {why}"),
            "a firewall that inspects TLS may cut it; the proxy speaks TLS 1.2 and 1.3",
        ),
    }
}

fn of_secret(seen: &Observations) -> Vec<Finding> {
    match &seen.secret {
        None => Vec::new(),
        Some(SecretSeen::Unreadable(why)) => vec![Finding::problem(
            "secret_unreadable",
            Side::Settings,
            format!("the client secret is not there: {why}"),
            "check the file or variable named in [dqe], and that this user may read it",
        )],
        Some(SecretSeen::Read(oddities)) => oddities.iter().copied().map(of_oddity).collect(),
    }
}

fn of_oddity(oddity: Oddity) -> Finding {
    let (cause, says) = match oddity {
        Oddity::Padded => (
            "secret_padded",
            "the client secret begins or ends with a space",
        ),
        Oddity::Quoted => (
            "secret_quoted",
            "the client secret stands in quotes, which are taken as a part of it",
        ),
        Oddity::IsLicence => (
            "secret_is_licence",
            "the client secret is the licence code: one of the two is likely in the other's place",
        ),
    };
    Finding::advice(
        cause,
        Side::Settings,
        says,
        "write the secret alone, as DQE gave it",
    )
}

fn of_next_secret(seen: &Observations) -> Option<Finding> {
    seen.next_secret_alone.then(|| {
        Finding::advice(
            "next_secret_in_use",
            Side::Settings,
            "DQE refuses the client secret and takes the next one",
            "put the next secret in the place of the first, and leave client_secret_next_… out until the next rotation",
        )
    })
}

fn of_clock(seen: &Observations) -> Option<Finding> {
    let ahead = seen.clock.filter(|ahead| ahead.abs() >= CLOCKS_APART)?;
    let (which, seconds) = if ahead > 0 {
        ("behind", ahead)
    } else {
        ("ahead of", -ahead)
    };
    Some(Finding::problem(
        "clock_off",
        Side::Network,
        format!("this machine's clock is {seconds} s {which} DQE's"),
        "compare it with a time server: a wrong date makes certificates look invalid, and log lines cannot be matched with DQE's",
    ))
}
