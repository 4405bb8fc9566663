//! Where tokens are asked for, and how: `[token]` except its `wait`.

use secrecy::SecretString;

use super::keys;
use super::problem::Problem;
use super::resolve::Resolver;
use crate::dqe::token_reply::Reading;
use crate::dqe::{ClientParameter, Method, ScopeParameter, TokenPath, TokenRequest};
use crate::upstream::Server;

/// The token endpoint as the settings have it.
pub(super) struct TokenEndpoint {
    /// `None`: the DQE server.
    server: Option<Server>,
    pub(super) path: TokenPath,
    pub(super) request: TokenRequest,
    pub(super) reading: Reading,
}

impl TokenEndpoint {
    /// Its URL; `api` is the DQE server.
    pub(super) fn url(&self, api: &Server) -> String {
        let server = self.server.as_ref().unwrap_or(api);
        format!("{}{}", server.origin(), self.path.as_str())
    }

    /// The URL of ID Mobile's own endpoint, on the same server.
    pub(super) fn url_of_id_mobile(&self, api: &Server) -> String {
        let server = self.server.as_ref().unwrap_or(api);
        format!("{}{}", server.origin(), TokenRequest::ID_MOBILE_PATH)
    }
}

/// Longest name of a parameter, in bytes.
const LONGEST_NAME: usize = 64;

impl Resolver<'_> {
    /// `None` means that `problems` says why.
    pub(super) fn token_endpoint(&mut self) -> Option<TokenEndpoint> {
        let server = self.token_server();
        let path = self.token_path();
        let mut request = TokenRequest {
            method: self.token_method(),
            client_parameter: ClientParameter::ClientId,
            scope_parameter: match self.entries.text(&keys::TOKEN_SCOPE_PARAMETER) {
                Some(("grant_type", _)) => ScopeParameter::GrantType,
                Some(_) | None => ScopeParameter::Scope,
            },
            extra: Vec::new(),
        };
        request.extra = self.extra_parameters(&request);
        let reading = match self.entries.text(&keys::TOKEN_REPLY) {
            Some(("strict", _)) => Reading::Strict,
            Some(_) | None => Reading::Lenient,
        };
        Some(TokenEndpoint {
            server: server.ok()?,
            path: path?,
            request,
            reading,
        })
    }

    /// The server of its own, held to the same rules as the DQE server: the
    /// secret, like a token, crosses no network in the clear.
    fn token_server(&mut self) -> Result<Option<Server>, ()> {
        let key = &keys::TOKEN_SERVER;
        let Some((text, place)) = self.entries.text(key) else {
            return Ok(None);
        };
        Server::parse(text).map(Some).map_err(|error| {
            self.problems
                .push(Problem::new(place, key, error.to_string()).hint(
                    "for example \"https://prod2.dqe-software.com\"; the path has a key of its own",
                ));
        })
    }

    fn token_path(&mut self) -> Option<TokenPath> {
        let key = &keys::TOKEN_PATH;
        let (text, place) = self.entries.text(key)?;
        match TokenPath::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                self.problems.push(
                    Problem::new(place, key, error.to_string())
                        .hint("DQE documents \"/oauth/access_token/\""),
                );
                None
            }
        }
    }

    fn token_method(&mut self) -> Method {
        let key = &keys::TOKEN_METHOD;
        match self.entries.text(key) {
            Some(("get", place)) => {
                self.warnings.push(
                    Problem::new(
                        place,
                        key,
                        "the client secret stands in the URL of every token request, where servers and gateways log it",
                    )
                    .hint("write \"post\", unless the token endpoint takes nothing but GET"),
                );
                Method::Get
            }
            Some(_) | None => Method::Post,
        }
    }

    fn extra_parameters(&mut self, request: &TokenRequest) -> Vec<(String, SecretString)> {
        let key = &keys::TOKEN_EXTRA_PARAMETERS;
        let mut found: Vec<(String, SecretString)> = Vec::new();
        for item in self.entries.list(key).map_or(&[][..], |(items, _)| items) {
            let mut wrong = |message: &str, hint: &str| {
                self.problems
                    .push(Problem::new(&item.place, key, message).hint(hint));
            };
            let Some((name, value)) = item.text.split_once('=') else {
                wrong("a parameter without a value", HOW);
                continue;
            };
            if !is_name(name) {
                wrong("not the name of a parameter", HOW);
            } else if request.sets(name) {
                wrong(
                    "the proxy sets this parameter itself",
                    "leave it out: the licence, the secret and the scope have keys of their own",
                );
            } else if found.iter().any(|(other, _)| other == name) {
                wrong(
                    "this parameter stands in the list already",
                    "keep one of the two",
                );
            } else {
                found.push((name.to_owned(), SecretString::from(value)));
            }
        }
        found
    }
}

const HOW: &str = "write \"name=value\": a name of letters, digits and . _ -, then what is sent";

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
