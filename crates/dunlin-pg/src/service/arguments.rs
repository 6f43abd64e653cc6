//! The parameters of a request, in the order that the query declares.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_http::{Body, BodyError, Identity, PathParams};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::declared::Declared;
use crate::error::Error;
use crate::param::{Json, Param};
use crate::query::{Place, Source};

pub(super) type Params = SmallVec<[Param; 2]>;

/// The members of a JSON body by name. The last one of a name counts.
pub(super) type Fields = BTreeMap<String, Box<RawValue>>;

/// The parts of a request that hold parameters.
pub(super) struct Parts<'r> {
    pub(super) uri: &'r Uri,
    pub(super) path: &'r PathParams,
    pub(super) headers: &'r HeaderMap,
    pub(super) identity: Option<&'r Identity>,
    pub(super) fields: Fields,
}

/// The parameters, with the values of the settings behind them.
pub(super) fn of(query: &Declared, mut parts: Parts<'_>) -> Result<Params, Error> {
    query
        .sources()
        .iter()
        .map(|source| {
            let given = match source.place() {
                Place::Url => from_url(source.key(), parts.path, parts.uri.query()),
                // A field that is used once is taken, so that a large one is not copied.
                Place::Body if query.sources().iter().filter(|other| other.name() == source.name()).count() > 1 => {
                    parts.fields.get(source.key()).cloned().map(Json::from_raw).map(Param::Json)
                }
                Place::Body => parts.fields.remove(source.key()).map(Json::from_raw).map(Param::Json),
                Place::Header => from_header(source, parts.headers)?,
                Place::Claim => parts.identity.and_then(|identity| identity.claim(source.key())).map(from_claim),
            };
            given.or_else(|| source.default().cloned()).ok_or_else(|| missing(source))
        })
        .collect()
}

/// RFC 9110 §5.3: several lines of a field are one list.
fn from_header(source: &Source, headers: &HeaderMap) -> Result<Option<Param>, Error> {
    let mut text: Option<String> = None;
    for value in headers.get_all(source.key()) {
        let value = value.to_str().map_err(|_| Error::Parameter {
            name: source.shared_name().clone(),
            reason: "its value is not in ASCII".into(),
        })?;
        match &mut text {
            Some(text) => {
                text.push_str(", ");
                text.push_str(value);
            }
            None => text = Some(value.to_owned()),
        }
    }
    Ok(text.map(Param::Text))
}

fn from_claim(value: &serde_json::Value) -> Param {
    match value.as_str() {
        Some(text) => Param::Text(text.to_owned()),
        None => Param::from(value.clone()),
    }
}

fn from_url(key: &str, path: &PathParams, query: Option<&str>) -> Option<Param> {
    if let Some(value) = path.get(key) {
        return Some(Param::Text(value.to_owned()));
    }
    let mut values =
        dunlin_http::query::pairs(query?).filter(|(name, _)| name == key).map(|(_, value)| value.into_owned());
    let first = values.next()?;
    match values.next() {
        None => Some(Param::Text(first)),
        Some(second) => Some(Param::Many([first, second].into_iter().chain(values).collect())),
    }
}

fn missing(source: &Source) -> Error {
    let reason = match source.place() {
        Place::Url => "it is missing in the path and in the query string",
        Place::Body => "the body has no such field",
        Place::Header => "the request has no such field",
        Place::Claim => {
            let reason = "the client's identity has no such claim".into();
            return Error::Identity { name: source.shared_name().clone(), reason };
        }
    };
    Error::Parameter { name: source.shared_name().clone(), reason: reason.into() }
}

/// Reads the body as a JSON object. Its media type is ignored, because many clients announce a form
/// by default, and a body that is no JSON is refused anyway.
pub(super) async fn read(body: Body, max_body: usize) -> Result<Fields, Error> {
    let bytes = body.collect(max_body).await.map_err(|error| match error {
        BodyError::Other(error) => {
            let error = BodyError::from_boxed(error);
            refused(error.status(), error.to_string())
        }
        error => refused(error.status(), error.to_string()),
    })?;
    match serde_json::from_slice::<&RawValue>(&bytes) {
        Ok(whole) if whole.get().starts_with('{') => serde_json::from_str(whole.get())
            .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("the body is not valid JSON: {error}"))),
        Ok(_) => Err(refused(StatusCode::BAD_REQUEST, "the body has to be a JSON object")),
        Err(error) => Err(refused(StatusCode::BAD_REQUEST, format!("the body is not valid JSON: {error}"))),
    }
}

fn refused(status: StatusCode, reason: impl Into<Arc<str>>) -> Error {
    Error::Body { status, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, query: &str, expect: Option<&Param>) {
        let mut path = PathParams::default();
        path.push("id".into(), "7".into());
        assert_eq!(from_url(key, &path, Some(query)).as_ref(), expect, "{key} {query}");
    }

    #[test]
    fn the_path_comes_before_the_query_string() {
        check("id", "id=8", Some(&Param::from("7")));
        check("a", "a=x+y", Some(&Param::from("x y")));
        check("a", "a=1&b=2&a=3&a=", Some(&Param::Many(vec!["1".into(), "3".into(), String::new()])));
        check("a", "b=1", None);
        check("a", "a", Some(&Param::from("")));
    }
}
