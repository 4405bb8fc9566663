//! Who calls: the networks that may, and the address a caller is known by.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use crate::deadline::Deadline;

/// The internal program at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its address, IPv4-mapped ones written as IPv4.
    pub address: IpAddr,
    /// The deadline of its connection, or of its stream.
    pub deadline: Rc<Deadline>,
    /// What an orderly end of its connection would say.
    pub closing: Rc<Cell<Closing>>,
}

/// What closing a caller's connection in an orderly way tells it about its answer.
/// Where that would be untrue, the connection is reset instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// Nothing: every answer tells its own end.
    #[default]
    SaysNothing,
    /// That the answer is whole (HTTP/1.0 without a length), which it is not yet.
    Misleads,
    /// That the answer is whole, which it is as soon as all has been written.
    EndsAnswer,
}

/// A set of networks. `::ffff:10.1.2.3` counts as `10.1.2.3` everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList {
    networks: Vec<IpNet>,
}

/// The keywords an allow list knows besides networks and addresses.
pub const ALLOW_KEYWORDS: [&str; 3] = ["loopback", "private", "any"];

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// Loopback, RFC 1918, shared address space (RFC 6598), link-local and unique-local.
const PRIVATE: [&str; 9] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fe80::/10",
    "fc00::/7",
];
const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// A word of an allow list that is neither a keyword nor a network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not a network: write 10.1.0.0/16, 10.1.2.3, fd00::/8, or one of loopback, private, any"
)]
pub struct NotANetwork(pub String);

impl AllowList {
    /// Parses the words of a settings file: networks (`10.1.0.0/16`), single
    /// addresses, or the keywords of [`ALLOW_KEYWORDS`].
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, NotANetwork> {
        let mut networks = Vec::new();
        for word in words {
            let expanded: &[&str] = match word {
                "loopback" => &LOOPBACK,
                "private" => &PRIVATE,
                "any" => &ANY,
                other => &[other],
            };
            for text in expanded {
                networks.push(network(text).ok_or_else(|| NotANetwork((*text).to_owned()))?);
            }
        }
        Ok(Self { networks })
    }

    /// The list that lets only this machine in.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            networks: LOOPBACK.iter().filter_map(|text| network(text)).collect(),
        }
    }

    /// Whether `address` is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| {
            text.parse::<IpAddr>()
                .map(|address| IpNet::from(address.to_canonical()))
        })
        .ok()?;
    Some(match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).ok()?.trunc(),
            None => network.trunc(),
        },
        IpNet::V4(_) | IpNet::V6(_) => network.trunc(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(words: &[&str], address: &str) -> bool {
        AllowList::parse(words.iter().copied())
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_the_networks_that_hold_it() {
        for (words, address, expected) in [
            (&["loopback"][..], "127.0.0.1", true),
            (&["loopback"], "127.9.9.9", true),
            (&["loopback"], "::1", true),
            (&["loopback"], "10.0.0.1", false),
            (&["private"], "10.1.2.3", true),
            (&["private"], "172.31.0.1", true),
            (&["private"], "172.32.0.1", false),
            (&["private"], "fd12::1", true),
            (&["private"], "8.8.8.8", false),
            (&["any"], "8.8.8.8", true),
            (&["any"], "2001:db8::1", true),
            (&["10.1.2.0/24"], "10.1.2.255", true),
            (&["10.1.2.9/24"], "10.1.2.1", true),
            (&["10.1.2.0/24"], "10.1.3.0", false),
            (&["10.1.2.3"], "10.1.2.3", true),
            (&["10.1.2.3"], "10.1.2.4", false),
            (&[], "127.0.0.1", false),
        ] {
            assert_eq!(allows(words, address), expected, "{words:?} {address}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert!(allows(&["10.1.2.0/24"], "::ffff:10.1.2.3"));
        assert!(allows(&["loopback"], "::ffff:127.0.0.1"));
        assert!(allows(&["::ffff:10.1.2.0/120"], "10.1.2.3"));
        assert!(!allows(&["::ffff:10.1.2.0/120"], "10.1.3.3"));
        assert!(allows(&["::ffff:10.1.2.3"], "10.1.2.3"));
    }

    #[test]
    fn a_word_that_is_no_network_is_named() {
        let error = AllowList::parse(["loopback", "privat"]).unwrap_err();
        assert_eq!(error, NotANetwork("privat".into()));
        assert!(AllowList::parse(["10.0.0.0/33"]).is_err());
    }
}
