//! Where a secret comes from, and how it is read; never how it is shown.
//!
//! The value itself is a [`secrecy::SecretString`]: its `Debug` prints nothing
//! of it and its memory is cleared on drop.

use std::path::PathBuf;

use secrecy::SecretString;

/// Longest secret accepted, in bytes. A larger file is the wrong file.
const MAX_SECRET_BYTES: u64 = 4096;

/// Where a secret is to be found. Reading it again sees a rotated value,
/// except for [`Self::Environment`], which is fixed for the life of a process.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// A file whose content is the secret; one trailing line end is ignored, and
    /// so is a byte order mark, which some editors put in front of any text.
    File(PathBuf),
    /// An environment variable, read once when the settings were resolved.
    Environment {
        /// Name of the variable, for messages.
        name: String,
        /// Its value.
        value: SecretString,
    },
    /// A systemd credential, already resolved to its file below
    /// `$CREDENTIALS_DIRECTORY`.
    Credential(PathBuf),
}

/// Why a secret could not be read. Never carries a byte of the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be opened or read.
    #[error("cannot read {place}: {reason}")]
    Unreadable {
        /// The file. Its path is told only when there is something at it: the
        /// secret itself may have been written where the path belongs.
        place: String,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// A named pipe: a program that reads one waits until somebody writes.
    #[error("the secret file {path} is a named pipe")]
    NamedPipe {
        /// The file.
        path: PathBuf,
    },
    /// The file or variable holds nothing.
    #[error("the secret in {place} is empty")]
    Empty {
        /// File or variable.
        place: String,
    },
    /// The file is larger than any secret.
    #[error("the secret file {path} is larger than {MAX_SECRET_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The content is not UTF-8 or holds a control character, a line end included.
    #[error(
        "the secret in {place} holds a line end, another control character or bytes that are not UTF-8"
    )]
    NotText {
        /// File or variable.
        place: String,
    },
}

impl SecretSource {
    /// Reads the secret now.
    ///
    /// # Errors
    /// When the file is missing, empty, too large, or not one line of text.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        use secrecy::ExposeSecret;
        match self {
            Self::File(path) | Self::Credential(path) => read_file(path),
            Self::Environment { name, value } => {
                let place = format!("the environment variable {name}");
                checked(value.expose_secret(), place)
            }
        }
    }

    /// The file behind this secret, when there is one to watch.
    #[must_use]
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::File(path) | Self::Credential(path) => Some(path),
            Self::Environment { .. } => None,
        }
    }
}

fn read_file(path: &std::path::Path) -> Result<SecretString, SecretError> {
    use std::io::Read;
    let unreadable = |reason| SecretError::Unreadable {
        place: match path.symlink_metadata() {
            Ok(_) => format!("the secret file {}", path.display()),
            Err(_) => "the secret file".to_owned(),
        },
        reason,
    };
    if is_named_pipe(path) {
        return Err(SecretError::NamedPipe {
            path: path.to_owned(),
        });
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = zeroizing_buffer();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(SecretError::TooLarge {
            path: path.to_owned(),
        });
    }
    let place = path.display().to_string();
    let Ok(text) = std::str::from_utf8(&text) else {
        return Err(SecretError::NotText { place });
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.strip_suffix('\n').unwrap_or(text);
    checked(line.strip_suffix('\r').unwrap_or(line), place)
}

/// Whether `path` is a pipe that has a name. One without, such as a shell's
/// `<(command)`, has its writer and does not keep anybody waiting for one.
#[cfg(unix)]
pub(crate) fn is_named_pipe(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_pipe = |path: &std::path::Path| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
    };
    is_pipe(path) && path.canonicalize().is_ok_and(|named| is_pipe(&named))
}

#[cfg(not(unix))]
pub(crate) fn is_named_pipe(_: &std::path::Path) -> bool {
    false
}

/// Room for the whole file at once, so that growing leaves no copies behind.
fn zeroizing_buffer() -> secrecy::zeroize::Zeroizing<Vec<u8>> {
    let room = usize::try_from(MAX_SECRET_BYTES + 1).unwrap_or(usize::MAX);
    secrecy::zeroize::Zeroizing::new(Vec::with_capacity(room))
}

fn checked(text: &str, place: String) -> Result<SecretString, SecretError> {
    if text.trim().is_empty() {
        return Err(SecretError::Empty { place });
    }
    if text.chars().any(char::is_control) {
        return Err(SecretError::NotText { place });
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn from_file(content: &[u8]) -> Result<String, SecretError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path)
            .read()
            .map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn one_trailing_line_end_is_not_part_of_the_secret() {
        assert_eq!(from_file(b"s3cret\n").unwrap(), "s3cret");
        assert_eq!(from_file(b"s3cret\r\n").unwrap(), "s3cret");
        assert_eq!(from_file(b" s3cret ").unwrap(), " s3cret ");
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_secret() {
        assert_eq!(from_file(b"\xef\xbb\xbfs3cret\r\n").unwrap(), "s3cret");
        assert!(from_file(b"\xef\xbb\xbf\r\n").is_err());
        let inside = from_file(b"s3\xef\xbb\xbfcret").unwrap();
        assert_eq!(inside, "s3\u{feff}cret");
    }

    #[test]
    fn what_is_at_no_path_may_be_the_secret_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: PathBuf| SecretSource::File(path).read().unwrap_err().to_string();
        for name in ["s3cret", "s3cret/more", &"s3cret".repeat(100)] {
            let error = read(folder.path().join(name));
            assert!(
                error.starts_with("cannot read the secret file: "),
                "{error}"
            );
        }
        let error = read(folder.path().to_owned());
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.contains("directory"), "the reason: {error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let error = SecretSource::File(path).read().unwrap_err();
        assert!(matches!(error, SecretError::NamedPipe { .. }), "{error}");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_being_shown() {
        for content in [&b""[..], b"\n", b"two\nlines", b"\xff\xfe", &[b'x'; 5000]] {
            let error = from_file(content).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("two"), "{error}");
        }
    }

    #[test]
    fn a_source_never_prints_its_value() {
        let source = SecretSource::Environment {
            name: "DQE_CLIENT_SECRET".into(),
            value: SecretString::from("hunter2"),
        };
        assert!(!format!("{source:?}").contains("hunter2"));
        assert_eq!(source.read().unwrap().expose_secret(), "hunter2");
    }
}
