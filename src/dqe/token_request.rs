//! What is sent to the token endpoint, in each of the forms DQE documents or
//! has documented. Pure: settings and values in, encoded parameters out.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::Scope;

/// How a token is asked for. The default is the form that DQE's page on OAuth2
/// documents and that keeps the secret out of every URL.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// Where the parameters travel.
    pub method: Method,
    /// The name of the parameter that carries the licence code.
    pub client_parameter: ClientParameter,
    /// The name of the parameter that carries the scope.
    pub scope_parameter: ScopeParameter,
    /// Parameters sent besides, name and value; none of which [`Self::sets`]
    /// the name itself. Sensitive: an account at a gateway may need a key here.
    pub extra: Vec<(String, SecretString)>,
}

/// Where the parameters of a token request travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// In the body, as `application/x-www-form-urlencoded`.
    #[default]
    Post,
    /// In the query. The secret then stands in a URL, which servers and
    /// gateways on the way like to log.
    Get,
}

/// The name of the parameter that carries the licence code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientParameter {
    /// `client_id`, as OAuth2 has it.
    #[default]
    ClientId,
    /// `licence`, as ID Mobile has it.
    Licence,
}

impl ClientParameter {
    /// The name as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::Licence => "licence",
        }
    }
}

/// The name of the parameter that carries the scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeParameter {
    /// `scope`, as documented.
    #[default]
    Scope,
    /// `grant_type`, as DQE's older plugins send it.
    GrantType,
}

impl ScopeParameter {
    /// The name as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::GrantType => "grant_type",
        }
    }
}

/// Everything but the unreserved characters of RFC 3986 §2.3, so that a query
/// and a form read the same whoever decodes them: no `+` stands for a space.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl TokenRequest {
    /// Path of the token endpoint of ID Mobile.
    pub const ID_MOBILE_PATH: &str = "/ACCESS_TOKEN/";

    /// How a token of ID Mobile is asked for (article 48305385361169): the
    /// licence code as `licence`, the scope as `grant_type`, and nothing else,
    /// since a parameter that is not known is an error there.
    #[must_use]
    pub fn of_id_mobile(method: Method) -> Self {
        Self {
            method,
            client_parameter: ClientParameter::Licence,
            scope_parameter: ScopeParameter::GrantType,
            extra: Vec::new(),
        }
    }

    /// Whether the request sets the parameter `name` by itself, in any letter
    /// case.
    #[must_use]
    pub fn sets(&self, name: &str) -> bool {
        let (client, scope) = (self.client_parameter, self.scope_parameter);
        [client.as_str(), "client_secret", scope.as_str()]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name))
    }

    /// The parameters of one request, encoded for a form and for a query
    /// alike. The only place the secret goes; the text is cleared on drop.
    #[must_use]
    pub fn encoded(&self, client_id: &str, client_secret: &str, scope: Scope) -> Zeroizing<String> {
        let own = [
            (self.client_parameter.as_str(), client_id),
            ("client_secret", client_secret),
            (self.scope_parameter.as_str(), scope.as_str()),
        ];
        let extra = self.extra.iter();
        let extra = extra.map(|(name, value)| (name.as_str(), value.expose_secret()));
        let parameters: Vec<(&str, &str)> = own.into_iter().chain(extra).collect();
        // Room for the longest encoding at once: growing would leave copies behind.
        let longest = |(name, value): &(&str, &str)| 3 * (name.len() + value.len()) + 2;
        let room = parameters.iter().map(longest).sum();
        let mut encoded = Zeroizing::new(String::with_capacity(room));
        for (name, value) in parameters {
            if !encoded.is_empty() {
                encoded.push('&');
            }
            encoded.extend(utf8_percent_encode(name, RESERVED));
            encoded.push('=');
            encoded.extend(utf8_percent_encode(value, RESERVED));
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn request(scope_parameter: ScopeParameter, extra: &[(&str, &str)]) -> TokenRequest {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), SecretString::from(*value));
        TokenRequest {
            scope_parameter,
            extra: extra.iter().map(owned).collect(),
            ..TokenRequest::default()
        }
    }

    #[test]
    fn the_request_is_the_documented_form_and_no_more_than_the_settings_add() {
        use ScopeParameter::{GrantType, Scope as Documented};
        for (name, extra, secret, expected) in [
            (
                Documented,
                &[][..],
                "secret",
                "client_id=LICENCE&client_secret=secret&scope=client_email",
            ),
            (
                GrantType,
                &[],
                "secret",
                "client_id=LICENCE&client_secret=secret&grant_type=client_email",
            ),
            (
                Documented,
                &[("grant_type", "client_credentials"), ("key", "a b")],
                "secret",
                "client_id=LICENCE&client_secret=secret&scope=client_email&grant_type=client_credentials&key=a%20b",
            ),
            (
                Documented,
                &[],
                "a+b&c=d%25 é~*\u{1f511}",
                "client_id=LICENCE&client_secret=a%2Bb%26c%3Dd%2525%20%C3%A9~%2A%F0%9F%94%91&scope=client_email",
            ),
        ] {
            let request = request(name, extra);
            let encoded = request.encoded("LICENCE", secret, Scope::Email);
            assert_eq!(encoded.as_str(), expected);
        }
    }

    #[test]
    fn id_mobile_is_asked_for_in_its_own_words() {
        let request = TokenRequest::of_id_mobile(Method::Post);
        let encoded = request.encoded("LICENCE", "a b", Scope::IdMobile);
        assert_eq!(
            encoded.as_str(),
            "licence=LICENCE&client_secret=a%20b&grant_type=client_idmobile"
        );
    }

    #[test]
    fn a_name_of_its_own_is_known_in_any_letter_case() {
        let documented = request(ScopeParameter::Scope, &[]);
        let older = request(ScopeParameter::GrantType, &[]);
        for (name, expected) in [
            ("client_id", (true, true)),
            ("Client_Secret", (true, true)),
            ("scope", (true, false)),
            ("grant_type", (false, true)),
            ("audience", (false, false)),
        ] {
            assert_eq!(
                (documented.sets(name), older.sets(name)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn no_value_is_printed() {
        let request = request(ScopeParameter::Scope, &[("key", "hunter2")]);
        let shown = format!("{request:?}");
        assert!(
            shown.contains("key") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn every_value_arrives_as_it_was(
            id in any::<String>(),
            secret in any::<String>(),
            extra in any::<String>(),
        ) {
            let request = request(ScopeParameter::Scope, &[("extra", &extra)]);
            let encoded = request.encoded(&id, &secret, Scope::Email);
            let decoded: Vec<String> = encoded
                .split('&')
                .map(|pair| {
                    let (_, value) = pair.split_once('=').unwrap();
                    percent_decode_str(value).decode_utf8().unwrap().into_owned()
                })
                .collect();
            prop_assert_eq!(decoded, [id.as_str(), &secret, "client_email", &extra]);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%&=".contains(&byte);
            prop_assert!(encoded.bytes().all(is_plain));
        }
    }
}
