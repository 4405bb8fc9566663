//! The two listeners: where they stand, and who may call.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use super::keys::{self, Key};
use super::problem::{Place, Problem};
use super::resolve::Resolver;
use crate::caller::{ALLOW_KEYWORDS, AllowList};
use crate::{admin, server};

impl Resolver<'_> {
    fn address(&mut self, key: &Key, also: &str) -> Option<SocketAddr> {
        let (text, place) = self.entries.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problems.push(
                Problem::new(place, key, "not an address with a port").hint(format!(
                    "write \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::1]:8080\"{also}; host names are not looked up"
                )),
            );
        }
        parsed
    }

    pub(super) fn listener_address(&mut self) -> Option<SocketAddr> {
        self.address(&keys::LISTENER_ADDRESS, "")
    }

    pub(super) fn admin(&mut self, listener: Option<SocketAddr>) -> admin::Settings {
        let key = &keys::ADMIN_ADDRESS;
        if self
            .entries
            .text(key)
            .is_some_and(|(text, _)| text == "off")
        {
            return admin::Settings { address: None };
        }
        let address = self.address(key, ", or \"off\"");
        let Some((address, place)) = address.zip(self.entries.text(key).map(|(_, place)| place))
        else {
            return admin::Settings { address };
        };
        let port = address.port();
        if port != 0 && listener.is_some_and(|listener| listener.port() == port) {
            // When one of the two is a default, the other is the one to change.
            let (key, place) = match (place, self.entries.text(&keys::LISTENER_ADDRESS)) {
                (Place::Default, Some((_, place))) => (&keys::LISTENER_ADDRESS, place),
                _ => (key, place),
            };
            self.problems.push(
                Problem::new(place, key, "callers and operators need a port each").hint(format!(
                    "{} and {} name the same port: change one",
                    keys::LISTENER_ADDRESS,
                    keys::ADMIN_ADDRESS
                )),
            );
        }
        if !is_loopback(address) {
            self.warnings.push(
                Problem::new(
                    place,
                    key,
                    "the admin listener can be reached from other machines, and asks for no password",
                )
                .hint("let only probes and monitoring reach this port"),
            );
        }
        admin::Settings {
            address: Some(address),
        }
    }

    pub(super) fn listener(&mut self, address: Option<SocketAddr>) -> Option<server::Settings> {
        let allow = self.allow(address);
        let threads = self.entries.count(&keys::LISTENER_THREADS)?;
        let one = NonZeroUsize::MIN;
        Some(server::Settings {
            address: address?,
            allow: allow?,
            threads: NonZeroUsize::new(threads)
                .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(one)),
            max_connections: self.entries.count(&keys::LISTENER_MAX_CONNECTIONS)?,
            max_connections_per_caller: self
                .entries
                .count(&keys::LISTENER_MAX_CONNECTIONS_PER_CALLER)?,
            max_requests: self.entries.count(&keys::LISTENER_MAX_REQUESTS)?,
            max_memory: self.entries.size(&keys::LISTENER_MAX_MEMORY)?,
            max_head: self.size(&keys::LISTENER_MAX_HEAD),
            max_fields: self.entries.count(&keys::LISTENER_MAX_FIELDS)?,
            h2c: self.entries.switch(&keys::LISTENER_H2C)?,
            header_timeout: self.duration(&keys::LISTENER_HEADER_TIMEOUT),
            idle_timeout: self.duration(&keys::LISTENER_IDLE_TIMEOUT),
            body_idle_timeout: self.duration(&keys::UPSTREAM_BODY_IDLE_TIMEOUT),
            drain: server::DrainSettings {
                delay: self.duration(&keys::DRAIN_DELAY),
                timeout: self.duration(&keys::DRAIN_TIMEOUT),
            },
        })
    }

    fn allow(&mut self, address: Option<SocketAddr>) -> Option<AllowList> {
        let key = &keys::LISTENER_ALLOW;
        let (items, place) = self.entries.list(key)?;
        let is_open = address.is_some_and(|address| !is_loopback(address));
        if *place == Place::Default {
            if is_open && !self.entries.is_reported(key) {
                let address = self.entries.text(&keys::LISTENER_ADDRESS);
                let (_, place) = address.unwrap_or(("", place));
                self.problems.push(
                    Problem::new(
                        place,
                        &keys::LISTENER_ADDRESS,
                        "an address other machines can reach needs to be told who may call",
                    )
                    .hint(format!(
                        "set allow = [\"private\"] or the networks of your callers below [listener], or {}",
                        key.variable()
                    )),
                );
            }
            return Some(AllowList::loopback());
        }
        if items.is_empty() {
            self.problems.push(
                Problem::new(place, key, "an empty list lets nobody call").hint(format!(
                    "name networks such as \"10.1.0.0/16\", or one of {}",
                    ALLOW_KEYWORDS.join(", ")
                )),
            );
            return None;
        }
        let mut wrong = false;
        for item in items {
            if AllowList::parse([item.text.as_str()]).is_ok() {
                continue;
            }
            wrong = true;
            let hint = match keys::nearest(&item.text, ALLOW_KEYWORDS) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "write \"10.1.0.0/16\", \"10.1.2.3\", \"fd00::/8\", or one of {}",
                    ALLOW_KEYWORDS.join(", ")
                ),
            };
            self.problems
                .push(Problem::new(&item.place, key, "not a network").hint(hint));
        }
        if wrong {
            return None;
        }
        if is_open && let Some(item) = items.iter().find(|item| item.text == "any") {
            self.warnings.push(
                Problem::new(
                    &item.place,
                    key,
                    "whoever reaches the port spends the licence",
                )
                .hint(
                    "name the networks of your callers, unless something in front sorts them out",
                ),
            );
        }
        AllowList::parse(items.iter().map(|item| item.text.as_str())).ok()
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
