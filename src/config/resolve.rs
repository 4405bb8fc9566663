//! From entries to settings: everything that needs more than a value's shape,
//! and what two keys have to say to each other.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use secrecy::SecretString;

use super::credential::{self, Chosen};
use super::file::Document;
use super::keys::{self, Key};
use super::problem::{Place, Problem};
use super::value::Entries;
use super::{names, routes};
use crate::dqe::{Scope, TokenPath, TokenRequest, catalogue};
use crate::proxy::route::Rule;
use crate::{admin, egress, proxy, secret, server, telemetry, token, upstream};

/// The settings of every part.
pub(super) struct Parts {
    pub(super) listener: server::Settings,
    pub(super) admin: admin::Settings,
    pub(super) proxy: proxy::Settings,
    pub(super) upstream: upstream::Settings,
    pub(super) egress: egress::Settings,
    pub(super) token: token::Settings,
    pub(super) log: telemetry::Settings,
    pub(super) id_mobile: Option<token::Settings>,
    /// Where each secret that there is comes from.
    pub(super) secrets: Vec<Chosen>,
}

/// Entries, and all that was found wrong on the way.
pub(super) struct Resolver<'a> {
    pub(super) entries: &'a Entries,
    pub(super) document: Option<&'a Document>,
    pub(super) variables: &'a [(String, String)],
    pub(super) problems: &'a mut Vec<Problem>,
    pub(super) warnings: &'a mut Vec<Problem>,
}

impl Resolver<'_> {
    /// Resolves everything; `None` means that `problems` says why.
    pub(super) fn parts(mut self) -> Option<Parts> {
        let address = self.listener_address();
        let admin = self.admin(address);
        let listener = self.listener(address);
        let server = self.server();
        if let Some(server) = &server {
            self.leads_elsewhere(server, [address, admin.address]);
        }
        let endpoint = self.token_endpoint();
        let token_path = endpoint.as_ref().map(|endpoint| endpoint.path.clone());
        let token_path = token_path.unwrap_or_default();
        let enabled = routes::enabled(self.entries, self.problems);
        let carriage = routes::carriage(self.entries, &keys::DQE_CARRIAGE);
        let mut rules = routes::of_catalogue(&enabled, carriage);
        if let Some(document) = self.document {
            let found =
                routes::of_document(document, &enabled, carriage, &token_path, self.problems);
            rules.extend(found);
        }
        let relays = routes::relays(self.entries, &rules, &token_path, self.problems);
        let scopes = self.scopes(&rules);
        if let Some(scopes) = &scopes {
            self.has_tokens(scopes, &enabled);
        }
        let licence = self.licence();
        let egress = self.egress();
        let missing = self.missing_from("dqe");
        let secret = credential::choose(
            self.entries,
            self.variables,
            &missing,
            self.problems,
            self.warnings,
        );
        let next_secret = credential::choose_next(
            self.entries,
            self.variables,
            secret.as_ref(),
            self.problems,
            self.warnings,
        );
        let has_id_mobile = enabled.contains(&catalogue::ID_MOBILE);
        let own_secret = credential::choose_id_mobile(
            has_id_mobile,
            self.entries,
            self.variables,
            self.problems,
            self.warnings,
        );
        let proxy = self.proxy(rules, relays, licence.clone(), token_path);
        let log = self.log();

        let (server, endpoint, secret) = (server?, endpoint?, secret?);
        let id_mobile_url = endpoint.url_of_id_mobile(&server);
        let token = token::Settings {
            url: endpoint.url(&server),
            request: endpoint.request,
            reading: endpoint.reading,
            client_id: licence?,
            client_secret: secret.source.clone(),
            next_client_secret: next_secret.as_ref().map(|next| next.source.clone()),
            scopes: scopes?,
            connect_timeout: self.duration(&keys::UPSTREAM_CONNECT_TIMEOUT),
        };
        let id_mobile = has_id_mobile.then(|| {
            let own = own_secret.as_ref().map(|own| own.source.clone());
            token::Settings {
                url: id_mobile_url,
                request: TokenRequest::of_id_mobile(token.request.method),
                next_client_secret: match own {
                    Some(_) => None,
                    None => token.next_client_secret.clone(),
                },
                client_secret: own.unwrap_or_else(|| token.client_secret.clone()),
                scopes: vec![Scope::IdMobile],
                ..token.clone()
            }
        });
        let others = [next_secret, own_secret].into_iter().flatten();
        Some(Parts {
            listener: listener?,
            admin,
            proxy,
            upstream: upstream::Settings {
                server,
                connect_timeout: self.duration(&keys::UPSTREAM_CONNECT_TIMEOUT),
                idle_timeout: self.duration(&keys::UPSTREAM_IDLE_TIMEOUT),
                max_idle: self.entries.count(&keys::UPSTREAM_MAX_IDLE)?,
                max_lifetime: self.duration(&keys::UPSTREAM_MAX_LIFETIME),
                max_requests: self.entries.count(&keys::UPSTREAM_MAX_REQUESTS)?,
            },
            egress,
            token,
            id_mobile,
            log: log?,
            secrets: std::iter::once(secret).chain(others).collect(),
        })
    }

    /// Durations have a default each, so there is always one.
    pub(super) fn duration(&self, key: &Key) -> Duration {
        self.entries.duration(key).unwrap_or_default()
    }

    /// A size of what is kept in memory; each has a default.
    pub(super) fn size(&self, key: &Key) -> usize {
        let size = self.entries.size(key).unwrap_or_default();
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    fn missing_from(&self, section: &str) -> Place {
        self.document
            .map_or(Place::Default, |document| document.place_of(section))
    }

    fn proxy(
        &mut self,
        routes: Vec<Rule>,
        relays: Vec<String>,
        licence: Option<SecretString>,
        token_path: TokenPath,
    ) -> proxy::Settings {
        let hosts = self.names(&keys::LISTENER_HOSTS, names::host);
        let origins = self.names(&keys::CORS_ORIGINS, names::origin);
        proxy::Settings {
            hosts,
            origins,
            max_head: self.size(&keys::LISTENER_MAX_HEAD),
            max_fields: self
                .entries
                .count(&keys::LISTENER_MAX_FIELDS)
                .unwrap_or_default(),
            max_body: routes::or_any(
                self.entries
                    .size(&keys::LISTENER_MAX_BODY)
                    .unwrap_or_default(),
            ),
            first_byte_timeout: self.duration(&keys::UPSTREAM_FIRST_BYTE_TIMEOUT),
            body_idle_timeout: self.duration(&keys::UPSTREAM_BODY_IDLE_TIMEOUT),
            total_timeout: self.duration(&keys::UPSTREAM_TOTAL_TIMEOUT),
            token_wait: self.duration(&keys::TOKEN_WAIT),
            licence,
            routes,
            token_path,
            relays,
        }
    }

    fn names(
        &mut self,
        key: &Key,
        read: fn(&str) -> Result<String, names::InvalidName>,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let (items, _) = self.entries.list(key).unwrap_or((&[], &Place::Default));
        for item in items {
            match read(&item.text) {
                Ok(name) if found.contains(&name) => {}
                Ok(name) => found.push(name),
                Err(error) => self
                    .problems
                    .push(Problem::new(&item.place, key, error.message).hint(error.hint)),
            }
        }
        found
    }

    fn server(&mut self) -> Option<upstream::Server> {
        let key = &keys::DQE_SERVERS;
        let (items, place) = self.entries.list(key)?;
        let [item, others @ ..] = items else {
            self.problems.push(
                Problem::new(place, key, "no server is named")
                    .hint("leave the key out for the default, or name one server"),
            );
            return None;
        };
        if let [second, ..] = others {
            self.problems.push(
                Problem::new(
                    &second.place,
                    key,
                    "more than one server: failover is not available yet",
                )
                .hint("name exactly one server"),
            );
        }
        match upstream::Server::parse(&item.text) {
            Ok(server) => Some(server),
            Err(error) => {
                self.problems.push(
                    Problem::new(&item.place, key, error.to_string())
                        .hint("for example \"https://prod2.dqe-software.com\""),
                );
                None
            }
        }
    }

    fn scopes(&mut self, rules: &[Rule]) -> Option<Vec<Scope>> {
        let key = &keys::DQE_SCOPES;
        let Some((items, place)) = self.entries.list(key) else {
            return Some(
                Scope::OAUTH
                    .into_iter()
                    .filter(|scope| {
                        *scope == Scope::General || rules.iter().any(|rule| rule.scope == *scope)
                    })
                    .collect(),
            );
        };
        if items.is_empty() {
            self.problems.push(
                Problem::new(place, key, "an empty list leaves nothing to forward")
                    .hint("write \"auto\", or name the scopes of your contract"),
            );
            return None;
        }
        let mut scopes = Vec::new();
        for item in items {
            if item.text == "auto" {
                self.problems.push(
                    Problem::new(&item.place, key, "\"auto\" stands alone, not in a list")
                        .hint("write scopes = \"auto\""),
                );
            } else if let Some(scope) = routes::scope(key, &item.text, &item.place, self.problems) {
                if scope == Scope::IdMobile {
                    self.problems.push(
                        Problem::new(
                            &item.place,
                            key,
                            "ID Mobile has a token endpoint of its own",
                        )
                        .hint("leave it out: its token is kept when enable names IDMOBILE"),
                    );
                } else if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        Some(scopes)
    }

    fn licence(&mut self) -> Option<SecretString> {
        let key = &keys::DQE_LICENCE;
        let Some((text, place)) = self.entries.text(key) else {
            if !self.entries.is_reported(key) {
                let missing = self.missing_from(key.section);
                self.problems.push(Problem::new(&missing, key, "not set").hint(
                    "set DQE_LICENCE, or licence = \"…\" below [dqe]: the licence code DQE gave you",
                ));
            }
            return None;
        };
        if text.trim() != text || text.chars().any(char::is_control) {
            self.problems.push(
                Problem::new(place, key, "holds a space at an end or a control character")
                    .hint("write the licence code alone"),
            );
            return None;
        }
        Some(SecretString::from(text))
    }

    /// Refuses a server that is one of the proxy's `own` addresses: every call
    /// would come back here and be refused as a loop.
    fn leads_elsewhere(&mut self, server: &upstream::Server, own: [Option<SocketAddr>; 2]) {
        let Some((items, place)) = self.entries.list(&keys::DQE_SERVERS) else {
            return;
        };
        let is_own = |own: &SocketAddr| {
            let reaches_own = match server.host().parse::<IpAddr>() {
                Ok(ip) => ip == own.ip() || (own.ip().is_unspecified() && ip.is_loopback()),
                Err(_) => {
                    server.host() == "localhost"
                        && (own.ip().is_loopback() || own.ip().is_unspecified())
                }
            };
            reaches_own && server.port() == own.port()
        };
        if own.iter().flatten().any(is_own) {
            let place = items.first().map_or(place, |item| &item.place);
            self.problems.push(
                Problem::new(
                    place,
                    &keys::DQE_SERVERS,
                    "this is an address the proxy itself listens on",
                )
                .hint("name the DQE server, or the fake one of dqe-proxy sandbox"),
            );
        }
    }

    /// Warns of paths that the settings name although no token is kept for them.
    fn has_tokens(&mut self, scopes: &[Scope], enabled: &[&'static str]) {
        let is_kept = |scope: Scope| scope == Scope::IdMobile || scopes.contains(&scope);
        let mut warn = |place: &Place, key: &Key, scope: Scope| {
            self.warnings.push(
                Problem::new(
                    place,
                    key,
                    format!("{scope} is not in dqe.scopes: calls get 404 scope_not_configured"),
                )
                .hint("add it to scopes below [dqe]"),
            );
        };
        for route in self.document.iter().flat_map(|document| &document.routes) {
            let key = &keys::ROUTE_SCOPE;
            if let Some((text, place)) = route.entries.text(key)
                && let Ok(scope) = text.parse()
                && !is_kept(scope)
            {
                warn(place, key, scope);
            }
        }
        let key = &keys::DQE_ENABLE;
        for item in self.entries.list(key).map_or(&[][..], |(items, _)| items) {
            let name = item.text.trim_matches('/');
            let is_meant = |path: &str| path.eq_ignore_ascii_case(name);
            let mut entries = catalogue::CATALOGUE.iter();
            if enabled.iter().any(|path| is_meant(path))
                && let Some(entry) = entries.find(|entry| is_meant(entry.path))
                && !is_kept(entry.scope)
            {
                warn(&item.place, key, entry.scope);
            }
        }
    }

    fn egress(&mut self) -> egress::Settings {
        let key = &keys::UPSTREAM_CA_FILES;
        let mut ca_files = Vec::new();
        for item in self.entries.list(key).map_or(&[][..], |(items, _)| items) {
            let path = credential::beside(&item.place, &item.text);
            let trouble = if path.is_file() || secret::is_named_pipe(&path) {
                egress::unusable_ca_file(&path)
                    .map(|reason| format!("the file cannot be used: {reason}"))
            } else {
                Some("there is no file at this path, or it cannot be looked at".to_owned())
            };
            if let Some(message) = trouble {
                self.warnings.push(
                    Problem::new(&item.place, key, message)
                        .hint("the proxy does not start without it"),
                );
            }
            ca_files.push(path);
        }
        egress::Settings { ca_files }
    }

    fn log(&self) -> Option<telemetry::Settings> {
        let (level, _) = self.entries.text(&keys::LOG_LEVEL)?;
        let (format, _) = self.entries.text(&keys::LOG_FORMAT)?;
        Some(telemetry::Settings {
            level: level.parse().ok()?,
            format: match format {
                "json" => telemetry::Format::Json,
                "text" => telemetry::Format::Text,
                _ => telemetry::Format::Auto,
            },
            access: self.entries.switch(&keys::LOG_ACCESS)?,
        })
    }
}
