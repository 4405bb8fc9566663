//! The secrets of one credential: the one in the settings, the next one that
//! is to take its place, and for a while the one before. Which is tried when;
//! a file that changes is noticed here. No request waits for any of this.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::moment::Moment;
use crate::secret::{SecretError, SecretSource};

/// Distance of two looks at the files. A new content counts when two looks
/// find the same, so that a file caught half-written is never used: it is in
/// use at most two distances after it was written.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Looks in a row that find a source unreadable before it is told.
const BLIND_LOOKS_TOLD: u8 = 4;

/// Which of the secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// `client_secret_…`.
    First,
    /// `client_secret_next_…`.
    Next,
    /// What the one in use was before its file changed, until a new one has
    /// worked: DQE may know the new one later than the file does.
    Previous,
}

/// A secret to try.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) which: Which,
    pub(super) value: SecretString,
}

/// A source, and what was read from it.
struct Kept {
    source: SecretSource,
    known: Option<SecretString>,
    /// Differs from `known`, and has been seen once.
    seen: Option<SecretString>,
    /// Looks that found nothing to read, one after the other.
    blind_looks: u8,
}

/// What a look at the sources found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Another secret is to be used from now on.
    pub(super) has_changed: bool,
    /// Sources that cannot be read any more, and were not told before. What
    /// they held stays in use.
    pub(super) lost: Vec<SecretError>,
    /// A source that was told is readable again.
    pub(super) is_found: bool,
}

/// The secrets of one credential.
pub(super) struct Secrets {
    first: Kept,
    next: Option<Kept>,
    previous: Option<SecretString>,
    /// The one that worked last, or is to be tried first.
    in_use: Which,
    looked: Option<Moment>,
}

impl Secrets {
    pub(super) fn new(first: SecretSource, next: Option<SecretSource>) -> Self {
        Self {
            first: Kept::new(first),
            next: next.map(Kept::new),
            previous: None,
            in_use: Which::First,
            looked: None,
        }
    }

    /// The secrets to try, the best first and no value twice. Those that were
    /// never read are read now.
    ///
    /// # Errors
    /// When none can be read: why the first cannot.
    pub(super) fn candidates(&mut self) -> Result<Vec<Candidate>, SecretError> {
        let first = self.first.known();
        let next = self.next.as_mut().and_then(|next| next.known().ok());
        let mut all = Vec::with_capacity(3);
        let mut push = |which, value: Option<SecretString>| {
            if let Some(value) = value
                && !all
                    .iter()
                    .any(|known: &Candidate| is_same(&known.value, &value))
            {
                all.push(Candidate { which, value });
            }
        };
        let first = match first {
            Ok(value) => Some(value),
            Err(error) if next.is_none() => return Err(error),
            Err(_) => None,
        };
        if self.in_use == Which::Next {
            push(Which::Next, next.clone());
        }
        push(Which::First, first);
        push(Which::Next, next);
        push(Which::Previous, self.previous.clone());
        Ok(all)
    }

    /// A token was granted for this secret. True when it takes the place of
    /// the one in use, which the previous one never does.
    pub(super) fn worked(&mut self, which: Which) -> bool {
        match which {
            Which::Previous => false,
            Which::First | Which::Next => {
                self.previous = None;
                std::mem::replace(&mut self.in_use, which) != which
            }
        }
    }

    /// Looks whether a file has changed, at most every [`LOOK_INTERVAL`].
    pub(super) fn look(&mut self, now: &Moment) -> Look {
        let is_due = self
            .looked
            .is_none_or(|looked| now.since(&looked) >= LOOK_INTERVAL);
        if is_due {
            self.read(now, false)
        } else {
            Look::default()
        }
    }

    /// Reads the files and takes what they hold at once: an operator says so.
    pub(super) fn read_now(&mut self, now: &Moment) -> Look {
        self.read(now, true)
    }

    fn read(&mut self, now: &Moment, at_once: bool) -> Look {
        self.looked = Some(*now);
        let mut look = Look::default();
        let first = self.first.read(at_once, &mut look);
        let next = self.next.as_mut();
        let next = next.and_then(|next| next.read(at_once, &mut look));
        look.has_changed = first.is_some() || next.is_some();
        // What worked until now helps over the time until the new one does.
        match self.in_use {
            Which::First => self.previous = first.clone().flatten().or(self.previous.take()),
            Which::Next => self.previous = next.flatten().or(self.previous.take()),
            Which::Previous => {}
        }
        if first.is_some() {
            self.in_use = Which::First;
        }
        look
    }
}

impl Kept {
    fn new(source: SecretSource) -> Self {
        Self {
            source,
            known: None,
            seen: None,
            blind_looks: 0,
        }
    }

    fn known(&mut self) -> Result<SecretString, SecretError> {
        match &self.known {
            Some(known) => Ok(known.clone()),
            None => Ok(self.known.insert(self.source.read()?).clone()),
        }
    }

    /// Reads the source. `Some`, with the value before, when it has changed;
    /// one that cannot be read leaves what is known in use.
    fn read(&mut self, at_once: bool, look: &mut Look) -> Option<Option<SecretString>> {
        let value = match self.source.read() {
            Ok(value) => value,
            Err(error) => {
                self.blind_looks = self.blind_looks.saturating_add(1);
                // A file that is being rewritten is empty for a moment. Where nothing is
                // known, whoever asks for a token says so.
                if self.known.is_some() && (at_once || self.blind_looks == BLIND_LOOKS_TOLD) {
                    self.blind_looks = self.blind_looks.max(BLIND_LOOKS_TOLD);
                    look.lost.push(error);
                }
                return None;
            }
        };
        look.is_found |= self.known.is_some() && self.blind_looks >= BLIND_LOOKS_TOLD;
        self.blind_looks = 0;
        if self
            .known
            .as_ref()
            .is_some_and(|known| is_same(known, &value))
        {
            self.seen = None;
            return None;
        }
        let is_settled = self.seen.as_ref().is_some_and(|seen| is_same(seen, &value));
        if is_settled || at_once || self.known.is_none() {
            self.seen = None;
            return Some(self.known.replace(value));
        }
        self.seen = Some(value);
        None
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn source(&self, name: &str) -> SecretSource {
            SecretSource::File(Path::new(self.0.path()).join(name))
        }
    }

    fn values(secrets: &mut Secrets) -> Vec<String> {
        let candidates = secrets.candidates().unwrap();
        let values = candidates.iter().map(|it| it.value.expose_secret());
        values.map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_changed_file_counts_when_two_looks_find_the_same() {
        let files = Files::new();
        files.write("first", "old");
        let mut secrets = Secrets::new(files.source("first"), None);
        assert_eq!(values(&mut secrets), ["old"]);
        let mut now = Moment::now();
        let mut look = |secrets: &mut Secrets| {
            now = now.later(LOOK_INTERVAL);
            secrets.look(&now).has_changed
        };
        assert!(!look(&mut secrets));
        // Caught between truncation and the last byte.
        for half in ["", "ne", "new"] {
            files.write("first", half);
            assert!(!look(&mut secrets), "{half}");
            assert_eq!(values(&mut secrets), ["old"]);
        }
        assert!(look(&mut secrets));
        assert_eq!(values(&mut secrets), ["new", "old"]);
        assert!(!secrets.worked(Which::First));
        assert_eq!(values(&mut secrets), ["new"], "the old one is forgotten");
        assert!(!look(&mut secrets));
    }

    #[test]
    fn an_operator_who_says_so_is_believed_at_once() {
        let files = Files::new();
        files.write("first", "old");
        let mut secrets = Secrets::new(files.source("first"), None);
        assert_eq!(values(&mut secrets), ["old"]);
        files.write("first", "new");
        assert!(secrets.read_now(&Moment::now()).has_changed);
        assert_eq!(values(&mut secrets)[0], "new");
        files.write("first", "");
        assert!(
            !secrets.read_now(&Moment::now()).has_changed,
            "nothing to use instead"
        );
        assert_eq!(values(&mut secrets)[0], "new");
    }

    #[test]
    fn a_file_that_is_lost_is_told_once_and_when_it_is_back() {
        let files = Files::new();
        files.write("first", "old");
        let mut secrets = Secrets::new(files.source("first"), None);
        assert_eq!(values(&mut secrets), ["old"]);
        let mut now = Moment::now();
        let mut look = |secrets: &mut Secrets| {
            now = now.later(LOOK_INTERVAL);
            let look = secrets.look(&now);
            assert!(!look.has_changed);
            (look.lost.len(), look.is_found)
        };
        for _ in 0..3 {
            files.write("first", "");
            for _ in 1..BLIND_LOOKS_TOLD {
                assert_eq!(look(&mut secrets), (0, false), "it may be being rewritten");
            }
            assert_eq!(look(&mut secrets), (1, false));
            assert_eq!(look(&mut secrets), (0, false), "it is known");
            let asked = secrets.read_now(&Moment::now());
            assert_eq!(asked.lost.len(), 1, "whoever asks is told");
            assert_eq!(values(&mut secrets), ["old"]);
            files.write("first", "old");
            assert_eq!(look(&mut secrets), (0, true));
            assert_eq!(look(&mut secrets), (0, false));
        }
    }

    #[test]
    fn the_next_secret_is_promoted_by_its_success() {
        let files = Files::new();
        files.write("first", "one");
        files.write("next", "two");
        let mut secrets = Secrets::new(files.source("first"), Some(files.source("next")));
        assert_eq!(values(&mut secrets), ["one", "two"]);
        assert!(secrets.worked(Which::Next), "a promotion");
        assert!(!secrets.worked(Which::Next));
        assert_eq!(values(&mut secrets), ["two", "one"]);
        // The operator finishes the rotation: the first file gets the new secret.
        files.write("first", "two");
        assert!(secrets.read_now(&Moment::now()).has_changed);
        assert_eq!(values(&mut secrets), ["two"]);
        assert!(
            !secrets.worked(Which::First),
            "what an operator wrote is no promotion"
        );
    }

    #[test]
    fn a_promoted_secret_that_changes_again_helps_over_until_the_new_one_works() {
        let files = Files::new();
        files.write("first", "one");
        files.write("next", "two");
        let mut secrets = Secrets::new(files.source("first"), Some(files.source("next")));
        assert_eq!(values(&mut secrets), ["one", "two"]);
        assert!(secrets.worked(Which::Next));
        files.write("next", "three");
        assert!(secrets.read_now(&Moment::now()).has_changed);
        assert_eq!(values(&mut secrets), ["three", "one", "two"]);
        secrets.worked(Which::Previous);
        assert_eq!(values(&mut secrets), ["three", "one", "two"]);
        secrets.worked(Which::Next);
        assert_eq!(values(&mut secrets), ["three", "one"]);
    }

    #[test]
    fn one_secret_that_can_be_read_is_enough() {
        let files = Files::new();
        let mut secrets = Secrets::new(files.source("first"), Some(files.source("next")));
        assert!(secrets.candidates().is_err());
        files.write("next", "two");
        assert_eq!(values(&mut secrets), ["two"]);
    }
}
