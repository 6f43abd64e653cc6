//! [`Body`]: the body of a request, read by its media type.

mod json;
mod multipart;

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::media_type::MediaType;
use dunlin_http::{BodyError, query};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use self::json::Members;
use self::multipart::Part;
use crate::error::Error;
use crate::param::{Content, ContentKind, Param};

/// The media types that have fields.
pub const MEDIA_TYPES: &str = "application/json, application/x-www-form-urlencoded, multipart/form-data";

/// The parts of a body that parameters read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    /// `true` if a parameter is a field of the body.
    pub(super) fields: bool,
    /// `true` if a parameter is the whole body.
    pub(super) whole: bool,
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bytes,
    form: Form,
}

/// The form of a body, by its media type.
#[derive(Debug)]
enum Form {
    /// There is none: no content and no media type.
    Absent,
    Json,
    Urlencoded,
    Multipart(Vec<Part>),
    /// A media type without fields.
    Other,
}

/// The fields of a body by name.
pub(super) enum Fields<'b> {
    None,
    Json(Members<'b>),
    Urlencoded(&'b str),
    Multipart(&'b [Part]),
}

// === impl Body ===

impl Body {
    /// A request without a body.
    pub(super) const fn absent() -> Self {
        Self { bytes: Bytes::new(), form: Form::Absent }
    }

    /// Reads a body of up to `limit` bytes. Without a media type it is JSON (RFC 9110 §8.3).
    ///
    /// # Errors
    /// A body that is too large, broken off, or of a media type without the fields that are wanted.
    pub(super) async fn read(
        body: dunlin_http::Body,
        headers: &HeaderMap,
        limit: usize,
        wants: Wants,
    ) -> Result<Self, Error> {
        let bytes = body.collect(limit).await.map_err(|error| match error {
            BodyError::Other(error) => {
                let error = BodyError::from_boxed(error);
                refused(error.status(), error.to_string())
            }
            error => refused(error.status(), error.to_string()),
        })?;
        let Some(media) = MediaType::of(headers) else {
            if headers.contains_key(CONTENT_TYPE) {
                return Err(unsupported("the media type of the body cannot be read"));
            }
            let form = if bytes.is_empty() { Form::Absent } else { Form::Json };
            return Ok(Self { bytes, form });
        };
        let form = if media.is_json() {
            Form::Json
        } else if media.is("application/x-www-form-urlencoded") {
            Form::Urlencoded
        } else if media.is("multipart/form-data") && wants.fields {
            Form::Multipart(multipart::read(&media, bytes.clone()).await?)
        } else if wants.fields {
            let essence = media.essence();
            return Err(unsupported(format!("a body of {essence} has no fields: send {MEDIA_TYPES}")));
        } else {
            Form::Other
        };
        let charset = media.charset().filter(|_| matches!(form, Form::Json | Form::Urlencoded));
        if charset.is_some_and(|name| !["utf-8", "utf8", "us-ascii"].iter().any(|ok| name.eq_ignore_ascii_case(ok))) {
            return Err(unsupported("the charset of the body has to be UTF-8"));
        }
        Ok(Self { bytes, form })
    }

    /// The whole body.
    pub(super) fn whole(&self) -> Option<Param> {
        let kind = match self.form {
            Form::Absent => return None,
            Form::Json => ContentKind::Json,
            Form::Urlencoded => ContentKind::Form,
            Form::Multipart(_) | Form::Other => ContentKind::Other,
        };
        Some(Param::Content(Content::new(self.bytes.clone(), kind)))
    }

    /// The fields.
    ///
    /// # Errors
    /// A body that is not valid, or JSON that is no object.
    pub(super) fn fields(&self) -> Result<Fields<'_>, Error> {
        match &self.form {
            Form::Absent | Form::Other => Ok(Fields::None),
            Form::Json => json::members(&self.bytes).map(Fields::Json),
            Form::Urlencoded => std::str::from_utf8(&self.bytes)
                .map(Fields::Urlencoded)
                .map_err(|_| refused(StatusCode::BAD_REQUEST, "the form is not in UTF-8")),
            Form::Multipart(parts) => Ok(Fields::Multipart(parts)),
        }
    }
}

// === impl Fields ===

impl Fields<'_> {
    /// The field at `path`: the one of that name, or else the one at that depth.
    pub(super) fn get(&self, path: &str) -> Option<Param> {
        match self {
            Self::None => None,
            Self::Json(members) => json::get(members, path),
            Self::Urlencoded(text) => one_or_many(
                query::pairs(text).filter(|(name, _)| is_field(name, path)).map(|(_, value)| value.into_owned()),
            ),
            Self::Multipart(parts) => multipart::get(parts, path),
        }
    }

    /// The form of the body for a message, if a client may not know it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::None | Self::Json(_) => "body",
            Self::Urlencoded(_) => "form",
            Self::Multipart(_) => "multipart body",
        }
    }
}

/// The value of a name, or its values.
pub(super) fn one_or_many(mut values: impl Iterator<Item = String>) -> Option<Param> {
    let first = values.next()?;
    match values.next() {
        None => Some(Param::Text(first)),
        Some(second) => Some(Param::Many([first, second].into_iter().chain(values).collect())),
    }
}

/// Returns `true` if a form's `name` stands for the field at `path`. `a[b]` is `a.b`, and `a[]` is
/// one of several `a`.
fn is_field(name: &str, path: &str) -> bool {
    if !name.contains('[') {
        return name == path;
    }
    let dotted = name.replace("][", ".").replace('[', ".");
    name == path || dotted.trim_end_matches(']').trim_end_matches('.') == path
}

fn unsupported(reason: impl Into<Arc<str>>) -> Error {
    refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason)
}

fn refused(status: StatusCode, reason: impl Into<Arc<str>>) -> Error {
    Error::Body { status, reason: reason.into() }
}

#[cfg(test)]
mod tests;
