//! The path of the token endpoint, and which paths lead to a token endpoint:
//! those are closed to callers, whatever the settings name.

use super::catalogue::{self, CATALOGUE};

/// The path tokens are asked at; as it is written, and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPath(String);

/// Why a text is no path of a token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokenPath {
    /// No slash in front, or nothing but slashes.
    #[error("the path of the token endpoint begins with a slash and names something")]
    NotAPath,
    /// A character other than letters, digits and `-._~!$'()*+,:@`.
    #[error("a character that has no place in the path of the token endpoint")]
    IllegalCharacter,
    /// Empty, `.` or `..` segments.
    #[error("a path has no empty, \".\" or \"..\" segments")]
    AmbiguousSegments,
    /// A path of the catalogue: closing it would close an API to callers.
    #[error("this is the path of a DQE API that callers use")]
    OfAnApi,
}

/// DQE's own.
impl Default for TokenPath {
    fn default() -> Self {
        Self("/oauth/access_token/".to_owned())
    }
}

impl TokenPath {
    /// Reads a path such as `/oauth/access_token/`.
    ///
    /// # Errors
    /// See [`InvalidTokenPath`].
    pub fn parse(text: &str) -> Result<Self, InvalidTokenPath> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(InvalidTokenPath::NotAPath);
        };
        let is_legal =
            |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$'()*+,:@".contains(&byte);
        if !text.bytes().all(is_legal) {
            return Err(InvalidTokenPath::IllegalCharacter);
        }
        let names = rest.strip_suffix('/').unwrap_or(rest);
        if names.is_empty() {
            return Err(InvalidTokenPath::NotAPath);
        }
        if names
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(InvalidTokenPath::AmbiguousSegments);
        }
        let path = Self(text.to_owned());
        if CATALOGUE.iter().any(|entry| path.is_reached_by(entry.path)) {
            return Err(InvalidTokenPath::OfAnApi);
        }
        Ok(path)
    }

    /// The path as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the decoded `path` leads to this token endpoint, below it, or to
    /// one of DQE's own: in any letter case, with or without slashes at its
    /// ends, behind a version segment too, and with what some servers strip
    /// from the ends of a segment. Tokens are never minted for a caller.
    #[must_use]
    pub fn is_reached_by(&self, path: &str) -> bool {
        let path = bare(path);
        if catalogue::is_token_endpoint(&path) {
            return true;
        }
        let own = bare(&self.0);
        let own = catalogue::strip_version(own.trim_matches('/'));
        let path = path.trim_matches('/');
        [path, catalogue::strip_version(path)]
            .into_iter()
            .any(|path| {
                path.get(..own.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(own))
                    && matches!(path.as_bytes().get(own.len()), None | Some(b'/'))
            })
    }
}

/// `path` with segments that begin and end with what stays: file systems and
/// the servers on them take `token.` and `token ` for `token`.
fn bare(path: &str) -> String {
    let is_stripped = |letter: char| letter.is_whitespace() || letter.is_control();
    let segments = path.split('/').map(|segment| {
        segment
            .trim_start_matches(is_stripped)
            .trim_end_matches(|letter| is_stripped(letter) || letter == '.')
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_path_names_something_that_is_no_api() {
        for (text, expected) in [
            ("/oauth/access_token/", None),
            ("/oauth/ACCESS_TOKEN", None),
            ("/v2/token", None),
            ("", Some(InvalidTokenPath::NotAPath)),
            ("/", Some(InvalidTokenPath::NotAPath)),
            ("token", Some(InvalidTokenPath::NotAPath)),
            ("//", Some(InvalidTokenPath::NotAPath)),
            ("/a//b", Some(InvalidTokenPath::AmbiguousSegments)),
            ("/a/../b", Some(InvalidTokenPath::AmbiguousSegments)),
            ("/./a", Some(InvalidTokenPath::AmbiguousSegments)),
            ("/a?b=c", Some(InvalidTokenPath::IllegalCharacter)),
            ("/a#b", Some(InvalidTokenPath::IllegalCharacter)),
            ("/a%2fb", Some(InvalidTokenPath::IllegalCharacter)),
            ("/a b", Some(InvalidTokenPath::IllegalCharacter)),
            ("/a;b", Some(InvalidTokenPath::IllegalCharacter)),
            ("/é", Some(InvalidTokenPath::IllegalCharacter)),
            ("/TEL/", Some(InvalidTokenPath::OfAnApi)),
            ("/v1/single", Some(InvalidTokenPath::OfAnApi)),
            ("/email", Some(InvalidTokenPath::OfAnApi)),
        ] {
            assert_eq!(TokenPath::parse(text).err(), expected, "{text}");
        }
    }

    #[test]
    fn every_spelling_reaches_it_and_nothing_else_does() {
        let path = TokenPath::parse("/v2/Auth/Token/").unwrap();
        for (other, expected) in [
            ("/v2/auth/token/", true),
            ("/V2/AUTH/TOKEN", true),
            ("auth/token", true),
            ("/v7/auth/token/more", true),
            ("/oauth/access_token/", true),
            ("/ACCESS_TOKEN/", true),
            ("/auth/token.", true),
            ("/auth./ token\t/", true),
            ("/oauth /access_token", true),
            ("/auth", false),
            ("/auth/tokens", false),
            ("/auth/tok", false),
            ("/x/auth/token", false),
            ("/auth/tokené", false),
        ] {
            assert_eq!(path.is_reached_by(other), expected, "{other}");
        }
        assert!(!TokenPath::default().is_reached_by("/TEL/"));
    }
}
