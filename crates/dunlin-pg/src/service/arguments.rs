//! The parameters of a request, in the order that the query declares.

use std::net::IpAddr;
use std::sync::Arc;

use dunlin_http::{Identity, PathParams, list};
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, Uri};
use smallvec::SmallVec;

use super::content::{self, Body, Fields, Wants};
use crate::declared::Declared;
use crate::error::Error;
use crate::param::Param;
use crate::query::{Place, Source};

pub(super) type Params = SmallVec<[Param; 2]>;

/// The field with the identifier of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The parts of a request that hold parameters.
pub(super) struct Parts<'r> {
    pub(super) uri: &'r Uri,
    pub(super) path: &'r PathParams,
    pub(super) headers: &'r HeaderMap,
    pub(super) facts: &'r Facts,
    pub(super) body: &'r Body,
}

/// The facts about a client that are not in its message.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) ip: Option<IpAddr>,
}

/// The parts of the body that the parameters of a query are.
pub(super) fn wants(query: &Declared) -> Wants {
    let mut wants = Wants { fields: false, whole: false };
    for source in query.sources().iter().filter(|source| source.place() == Place::Body) {
        if source.key().is_empty() {
            wants.whole = true;
        } else {
            wants.fields = true;
        }
    }
    wants
}

/// The parameters, with the values of the settings behind them. `wants_fields`: some are fields of
/// the body.
pub(super) fn of(query: &Declared, parts: &Parts<'_>, wants_fields: bool) -> Result<Params, Error> {
    let fields = if wants_fields { parts.body.fields()? } else { Fields::None };
    query
        .sources()
        .iter()
        .map(|source| {
            let given = match source.place() {
                Place::Url => from_url(source.key(), parts.path, parts.uri.query()),
                Place::Body if source.key().is_empty() => parts.body.whole(),
                Place::Body => fields.get(source.key()),
                Place::Header => from_header(source, source.key(), parts.headers)?,
                Place::Cookie => from_cookies(source.key(), parts.headers),
                Place::Claim => {
                    parts.facts.identity.as_ref().and_then(|identity| identity.claim(source.key())).map(from_claim)
                }
                Place::ClientIp => parts.facts.ip.map(|ip| Param::Text(ip.to_canonical().to_string())),
                Place::RequestId => from_header(source, REQUEST_ID.as_str(), parts.headers)?,
            };
            given.or_else(|| source.default().cloned()).ok_or_else(|| missing(source, &fields))
        })
        .collect()
}

/// RFC 9110 §5.3: several lines of a field are one list.
fn from_header(source: &Source, name: &str, headers: &HeaderMap) -> Result<Option<Param>, Error> {
    let mut text: Option<String> = None;
    for value in headers.get_all(name) {
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

/// RFC 6265 §5.4: the first cookie of a name is the most specific one.
fn from_cookies(name: &str, headers: &HeaderMap) -> Option<Param> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| list::trim(key) == name)?;
    let value = list::trim(value);
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(Param::Text(inner.unwrap_or(value).to_owned()))
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
    let pairs = dunlin_http::query::pairs(query?).filter(|(name, _)| name == key);
    content::one_or_many(pairs.map(|(_, value)| value.into_owned()))
}

fn missing(source: &Source, fields: &Fields<'_>) -> Error {
    let name = source.shared_name().clone();
    let reason = match source.place() {
        Place::Url => "it is missing in the path and in the query string",
        Place::Body if source.key().is_empty() => "the request has no body",
        Place::Body => {
            return Error::Parameter { name, reason: format!("the {} has no such field", fields.name()).into() };
        }
        Place::Header => "the request has no such field",
        Place::Cookie => "the request has no such cookie",
        Place::ClientIp => "the client has no address, because it came over a Unix socket",
        Place::RequestId => "the request has no X-Request-Id",
        Place::Claim => {
            let reason = "the client's identity has no such claim".into();
            return Error::Identity { name, reason };
        }
    };
    Error::Parameter { name, reason: reason.into() }
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
    fn cookies() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; b=\"x y\"; a=2;c".parse().unwrap());
        headers.append(COOKIE, "d==e ".parse().unwrap());
        for (name, value) in [("a", Some("1")), ("b", Some("x y")), ("c", None), ("d", Some("=e")), ("", None)] {
            assert_eq!(from_cookies(name, &headers), value.map(Param::from), "{name}");
        }
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
