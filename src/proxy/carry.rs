//! What of one call carries the credential: `Authorization`, a parameter of the
//! query, or one of the form. Decided once per call, when its form has been
//! read; written for each attempt, with the token of that attempt.
//!
//! The parameter stands once, and where the caller had its own: in the form
//! before the query, since a server that reads both reads the form last. Where
//! the caller had none it goes into the form of a call that has one, as DQE
//! documents POST, and into the query of every other. A body of no type, or of
//! plain text, may be a form that old programs did not declare: it is looked
//! into, so that no licence slips through, and is a form when it holds one.
//! Announced as larger than any form it is streamed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};

use super::Call;
use super::error::ProxyError;
use super::route::Route;
use super::scrub::{Scrubber, Secret};
use super::upload::{OutgoingBody, Upload};
use crate::dqe::Scope;
use crate::dqe::licence::{self, Encoded};
use crate::http1::{Fields, name};
use crate::token::AccessToken;

/// The body of a call.
#[derive(Debug)]
pub(super) enum Payload {
    /// There is none.
    Empty,
    /// Streamed, while a copy of its beginning is kept for a replay.
    Streamed(Rc<Upload>),
    /// A form that is still to be read whole, because it has to be looked into.
    Unread(Rc<Upload>, Declared),
    /// A form. The caller's own licence has been taken out of it, except where the
    /// token is to take its place.
    Form(Form),
}

/// A form that has been read whole. What it says is personal data.
pub(super) struct Form {
    text: Bytes,
    declared: Declared,
    /// A licence has been taken out, so the caller's framing no longer fits.
    is_changed: bool,
}

/// Whether the caller says that its body is a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    Yes,
    /// It says nothing of use.
    No,
}

/// Where the licence parameter of a call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// The token travels in the header only.
    #[default]
    Nowhere,
    /// In the place of the caller's own.
    Query,
    /// Behind a query that has none.
    BehindQuery,
    Form,
}

/// A token in every form it is written in or looked for, made once per token.
pub(super) struct Carried {
    pub(super) token: Arc<AccessToken>,
    encoded: Encoded,
    /// `None` when it is too short to be told from other text.
    secret: Option<Rc<Secret>>,
}

impl Carried {
    /// `beside` is the licence code, where it goes with the token.
    fn new(token: Arc<AccessToken>, beside: Option<&SecretString>) -> Self {
        let value = value(&token);
        let encoded = Encoded::of(value);
        Self {
            encoded: match beside {
                Some(code) => encoded.beside(code.expose_secret().as_bytes()),
                None => encoded,
            },
            secret: Secret::new(value).map(Rc::new),
            token,
        }
    }
}

/// The token of each scope that one worker thread has sent last.
#[derive(Default)]
pub(super) struct InUse([RefCell<Option<Rc<Carried>>>; Scope::ALL.len()]);

impl InUse {
    /// `token`, which is of `scope`, in the forms it is needed in; that of ID
    /// Mobile with the `licence` code beside it.
    pub(super) fn carried(
        &self,
        scope: Scope,
        token: &Arc<AccessToken>,
        licence: Option<&SecretString>,
    ) -> Rc<Carried> {
        let mut place = self.0[scope.index()].borrow_mut();
        match &*place {
            Some(carried) if Arc::ptr_eq(&carried.token, token) => Rc::clone(carried),
            Some(_) | None => {
                let beside = licence.filter(|_| scope == Scope::IdMobile);
                Rc::clone(place.insert(Rc::new(Carried::new(Arc::clone(token), beside))))
            }
        }
    }
}

impl Call {
    /// Decides where the token goes. To be called when everything else of the call is
    /// known.
    pub(super) fn settle(&mut self) -> Result<(), ProxyError> {
        let route = self.worker.routes.route(self.route);
        self.place = settle(route, &mut self.head.uri, &mut self.payload)?;
        Ok(())
    }

    /// The body of an attempt with `token`.
    pub(super) fn begin_body(
        &mut self,
        token: &Carried,
    ) -> Result<Option<OutgoingBody>, ProxyError> {
        let route = self.worker.routes.route(self.route);
        let body = self.payload.begin(self.place, route, token)?;
        let length = body.as_ref().and_then(OutgoingBody::length);
        self.length = length.map(HeaderValue::from);
        Ok(body)
    }

    /// Appends the target of an attempt with `token`.
    pub(super) fn write_target(&self, token: &Carried, out: &mut BytesMut) {
        let target = &self.head.uri;
        match self.place {
            Place::Query | Place::BehindQuery => {
                let query = target.query().unwrap_or_default().as_bytes();
                let parameter = self.route().parameter;
                out.extend_from_slice(target.path().as_bytes());
                out.extend_from_slice(b"?");
                if self.place == Place::Query {
                    licence::set(query, parameter, &token.encoded, out);
                } else {
                    licence::append(query, parameter, &token.encoded, out);
                }
            }
            Place::Nowhere | Place::Form => {
                let target = target.path_and_query().map_or("/", PathAndQuery::as_str);
                out.extend_from_slice(target.as_bytes());
            }
        }
    }

    /// What masks the credential in an answer with `status`. DQE repeats it in
    /// its errors, and what it was asked for in redirects and pages of errors.
    /// An ordinary answer is scrubbed when the token went out as a parameter,
    /// which it may repeat among the others; what came in the header is never
    /// repeated in one. The licence code goes out with ID Mobile's token alone.
    pub(super) fn scrubber_of(&self, token: &Carried, status: StatusCode) -> Option<Scrubber> {
        let is_ordinary = status.is_success();
        if is_ordinary && self.place == Place::Nowhere {
            return None;
        }
        let may_stand = !is_ordinary || self.route().scope == Scope::IdMobile;
        let licence = self.worker.licence.as_ref().filter(|_| may_stand);
        Some(Scrubber::new([token.secret.clone(), licence.cloned()]))
    }
}

impl Payload {
    /// The body of a call with these fields.
    pub(super) fn new(upload: Rc<Upload>, fields: &Fields) -> Self {
        match declared(fields) {
            Some(Declared::No) if upload.announces_too_much() => Self::Streamed(upload),
            Some(declared) => Self::Unread(upload, declared),
            None => Self::Streamed(upload),
        }
    }

    /// The form that `text` is.
    pub(super) fn form(text: Bytes, declared: Declared) -> Self {
        Self::Form(Form {
            text,
            declared,
            is_changed: false,
        })
    }

    /// Whether the whole body can be sent again.
    pub(super) fn is_at_hand(&self) -> bool {
        match self {
            Self::Empty | Self::Form(_) => true,
            Self::Streamed(upload) | Self::Unread(upload, _) => upload.is_at_hand(),
        }
    }

    /// Whether the caller is still to send some of the body.
    pub(super) fn is_coming(&self) -> bool {
        match self {
            Self::Empty | Self::Form(_) => false,
            Self::Streamed(upload) | Self::Unread(upload, _) => upload.is_coming(),
        }
    }

    /// Whether the body stands still because the caller sends no more of it.
    pub(super) fn waits_for_caller(&self) -> bool {
        match self {
            Self::Empty | Self::Form(_) => false,
            Self::Streamed(upload) | Self::Unread(upload, _) => upload.waits_for_caller(),
        }
    }

    /// The head of an answer has come, be it before the body's end.
    pub(super) fn answer_begins(&self) {
        match self {
            Self::Empty | Self::Form(_) => {}
            Self::Streamed(upload) | Self::Unread(upload, _) => upload.answer_begins(),
        }
    }

    /// Whether more of the body has come than may.
    pub(super) fn is_too_large(&self) -> bool {
        match self {
            Self::Empty | Self::Form(_) => false,
            Self::Streamed(upload) | Self::Unread(upload, _) => upload.is_too_large(),
        }
    }

    /// The body for the next attempt, `place` being that of the parameter.
    ///
    /// # Errors
    /// [`ProxyError::CallerBody`] when its beginning is no longer at hand.
    pub(super) fn begin(
        &self,
        place: Place,
        route: &Route,
        token: &Carried,
    ) -> Result<Option<OutgoingBody>, ProxyError> {
        match self {
            Self::Empty => Ok(None),
            Self::Streamed(upload) | Self::Unread(upload, _) => {
                upload.begin().map(Some).ok_or(ProxyError::CallerBody)
            }
            Self::Form(Form { text, .. }) if place == Place::Form => {
                let room = licence::room(text, route.parameter, &token.encoded);
                let mut written = Vec::with_capacity(room);
                licence::set(text, route.parameter, &token.encoded, &mut written);
                Ok(Some(OutgoingBody::whole(written.into(), true)))
            }
            Self::Form(Form {
                text, is_changed, ..
            }) => Ok(Some(OutgoingBody::whole(text.clone(), *is_changed))),
        }
    }
}

/// Decides where the parameter goes, and takes the caller's out of everywhere else.
///
/// # Errors
/// [`ProxyError::TargetNotAllowed`], which does not happen: taking a part out
/// of a valid target leaves a valid one.
fn settle(route: &Route, target: &mut Uri, payload: &mut Payload) -> Result<Place, ProxyError> {
    let name = route.parameter;
    let in_query = licence::is_in(target.query().unwrap_or_default().as_bytes(), name);
    let form = match payload {
        Payload::Form(form) => Some(form),
        Payload::Empty | Payload::Streamed(_) | Payload::Unread(..) => None,
    };
    let in_form = form
        .as_ref()
        .is_some_and(|form| licence::is_in(&form.text, name));
    let is_declared = form
        .as_ref()
        .is_some_and(|form| form.declared == Declared::Yes);
    let place = if !route.carriage.has_parameter() {
        Place::Nowhere
    } else if in_form || (is_declared && !in_query) {
        Place::Form
    } else if in_query {
        Place::Query
    } else {
        Place::BehindQuery
    };
    if in_query && place != Place::Query {
        *target = without_parameter(target, name)?;
    }
    if let Some(form) = form
        && in_form
        && place != Place::Form
    {
        form.text = licence::without(&form.text, name).into_owned().into();
        form.is_changed = true;
    }
    Ok(place)
}

/// The target in origin-form (RFC 9112 §3.2.1), as the caller sent it. The
/// authority of an absolute-form target is ignored: no request can choose
/// another host.
pub(super) fn origin_form(uri: Uri) -> Result<Uri, ProxyError> {
    let target = uri.into_parts().path_and_query;
    target.map(Uri::from).ok_or(ProxyError::TargetNotAllowed)
}

/// The target without the licence parameter.
fn without_parameter(target: &Uri, name: &str) -> Result<Uri, ProxyError> {
    let query = licence::without(target.query().unwrap_or_default().as_bytes(), name);
    let mut written = target.path().as_bytes().to_vec();
    if !query.is_empty() {
        written.push(b'?');
        written.extend_from_slice(&query);
    }
    let target = PathAndQuery::from_maybe_shared(Bytes::from(written));
    target
        .map(Uri::from)
        .map_err(|_| ProxyError::TargetNotAllowed)
}

/// The token without the scheme in front of it.
fn value(token: &AccessToken) -> &[u8] {
    let header = token.header().as_bytes();
    header.strip_prefix(b"Bearer ").unwrap_or(header)
}

/// Whether the body is a form, or may be one; `None`: it is something else,
/// or coded, so that nobody here can read it.
fn declared(fields: &Fields) -> Option<Declared> {
    if fields.contains(name::CONTENT_ENCODING) {
        return None;
    }
    let mut declared = Some(Declared::No);
    for line in fields.get_all(name::CONTENT_TYPE) {
        let end = line.iter().position(|byte| *byte == b';');
        let media_type = line[..end.unwrap_or(line.len())].trim_ascii();
        if media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            return Some(Declared::Yes);
        }
        if !media_type.is_empty() && !media_type.eq_ignore_ascii_case(b"text/plain") {
            declared = None;
        }
    }
    declared
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Form({} bytes)", self.text.len())
    }
}
