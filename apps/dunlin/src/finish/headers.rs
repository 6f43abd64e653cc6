//! `response_headers`: fields that are set or removed.

use dunlin_http::{Body, Reply};
use http::Request;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use toml::de::DeValue;

use super::template::{Facts, Template, render};
use crate::reader::{Diagnostic, Value};
use crate::routes::Captures;

/// The edits of header fields, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderEdits(Vec<Edit>);

/// The edit of one field: its lines are replaced. Without new ones it is removed.
#[derive(Clone, Debug)]
struct Edit {
    name: HeaderName,
    values: Vec<Template>,
}

/// The fields that frame a message or belong to its connection, which only the server can write.
const RESERVED: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const EXPECTED: &str = "a table such as { X-Frame-Options = \"DENY\", Server = false }";

// === impl HeaderEdits ===

impl HeaderEdits {
    /// Reads the table of a route and the one of its defaults, which the route's own has precedence
    /// over, key by key.
    pub(super) fn read([own, default]: [Option<Value<'_>>; 2], names: Option<&[&str]>) -> Option<Self> {
        let mut edits: Vec<Edit> = Vec::new();
        for value in [own, default].into_iter().flatten() {
            for edit in table(value, names)? {
                if edits.iter().all(|other| other.name != edit.name) {
                    edits.push(edit);
                }
            }
        }
        Some(Self(edits))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values that depend on the request, in the order of the templates.
    pub(super) fn values(
        &self,
        request: &Request<Body>,
        facts: &Facts<'_>,
        captures: &Captures,
    ) -> Vec<Option<HeaderValue>> {
        let templates = self.0.iter().flat_map(|edit| &edit.values);
        let made = templates.filter_map(|template| match template {
            Template::Fixed(_) => None,
            Template::Made(parts) => Some(render(parts, request, facts, captures)),
        });
        made.collect()
    }

    /// Edits the fields of a reply.
    pub(super) fn apply(&self, made: Vec<Option<HeaderValue>>, reply: Reply) -> Reply {
        if self.0.is_empty() {
            return reply;
        }
        let mut response = reply.into_response();
        self.edit(response.headers_mut(), made);
        Reply::Response(response)
    }

    fn edit(&self, headers: &mut HeaderMap, made: Vec<Option<HeaderValue>>) {
        let mut made = made.into_iter();
        for Edit { name, values } in &self.0 {
            headers.remove(name);
            for template in values {
                let value = match template {
                    Template::Fixed(value) => Some(value.clone()),
                    Template::Made(_) => made.next().flatten(),
                };
                if let Some(value) = value {
                    headers.append(name, value);
                }
            }
        }
    }
}

/// Reads the edits of one table.
fn table(value: Value<'_>, names: Option<&[&str]>) -> Option<Vec<Edit>> {
    let DeValue::Table(fields) = value.raw() else { return value.wrong_type(EXPECTED) };
    let mut edits: Vec<Option<Edit>> = Vec::new();
    for (key, raw) in fields {
        let text: &str = key.get_ref();
        let wrong = |what: String, expected: &str| {
            value.error(Diagnostic::new(key.span(), what).expected(expected));
            None
        };
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            edits.push(wrong(format!("\"{text}\" is not the name of a header field"), EXPECTED));
            continue;
        };
        if RESERVED.contains(&name) {
            let what = format!("{text} cannot be set, because the server computes it");
            edits.push(wrong(what, "another field"));
            continue;
        }
        if edits.iter().flatten().any(|edit| edit.name == name) {
            edits.push(wrong(format!("\"{text}\" is there twice"), "a list for several lines"));
            continue;
        }
        edits.push(edit(name, value.at("response_headers", raw), names));
    }
    edits.into_iter().collect()
}

fn edit(name: HeaderName, value: Value<'_>, names: Option<&[&str]>) -> Option<Edit> {
    let values = match value.raw() {
        DeValue::Boolean(false) => Vec::new(),
        DeValue::String(_) | DeValue::Array(_) => value.list(|value| Template::read(value, names))?,
        _ => return value.wrong_type("a string, a list of strings, or false, which removes the field"),
    };
    Some(Edit { name, values })
}
