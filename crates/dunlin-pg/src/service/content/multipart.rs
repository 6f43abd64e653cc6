//! `multipart/form-data` (RFC 7578), read by the crate `multer`.

use std::convert::Infallible;

use bytes::Bytes;
use dunlin_http::media_type::MediaType;
use futures_util::stream;
use http::StatusCode;
use multer::Multipart;

use super::{is_field, one_or_many, refused};
use crate::error::Error;
use crate::param::{Content, ContentKind, Param};

/// The limit of parts. Their bytes are those of the body, which has a limit of its own.
const MAX_PARTS: usize = 1000;

/// A part of the body.
#[derive(Debug)]
pub(in crate::service) struct Part {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    bytes: Bytes,
}

/// Reads the parts of a body.
pub(super) async fn read(media: &MediaType<'_>, bytes: Bytes) -> Result<Vec<Part>, Error> {
    let invalid = |reason: &str| refused(StatusCode::BAD_REQUEST, format!("the multipart body is not valid: {reason}"));
    let boundary = media.parameter("boundary").filter(|boundary| !boundary.is_empty());
    let boundary = boundary.ok_or_else(|| invalid("Content-Type has no boundary"))?;
    let mut multipart = Multipart::new(stream::iter([Ok::<_, Infallible>(bytes)]), boundary);
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| invalid(&error.to_string()))? {
        if parts.len() == MAX_PARTS {
            let reason = format!("the multipart body has more than {MAX_PARTS} parts");
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, reason));
        }
        let name = field.name().ok_or_else(|| invalid("a part has no name"))?.to_owned();
        let filename = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().await.map_err(|error| invalid(&error.to_string()))?;
        let part = Part { name, filename, content_type, bytes };
        if !part.is_file() && std::str::from_utf8(&part.bytes).is_err() {
            return Err(invalid("a field is not in UTF-8"));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// The field at `path`: the part of that name, or a fact about a file.
pub(super) fn get(parts: &[Part], path: &str) -> Option<Param> {
    let named = |path: &str| parts.iter().filter(move |part| is_field(&part.name, path)).collect::<Vec<_>>();
    match named(path)[..] {
        [] => {}
        [file] if file.is_file() => {
            return Some(Param::Content(Content::new(file.bytes.clone(), ContentKind::File)));
        }
        ref texts => return one_or_many(texts.iter().map(|part| String::from_utf8_lossy(&part.bytes).into_owned())),
    }
    let (name, fact) = path.rsplit_once('.')?;
    let file = named(name).into_iter().find(|part| part.is_file())?;
    match fact {
        "filename" => file.filename.clone().map(Param::Text),
        "content_type" => file.content_type.clone().map(Param::Text),
        _ => None,
    }
}

// === impl Part ===

impl Part {
    /// Returns `true` if it is a file: RFC 7578 §4.2 and §4.4.
    fn is_file(&self) -> bool {
        let is_text = |media: &String| MediaType::parse(media).is_some_and(|media| media.is("text/plain"));
        self.filename.is_some() || self.content_type.as_ref().is_some_and(|media| !is_text(media))
    }
}
