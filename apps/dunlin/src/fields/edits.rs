//! [`FieldEdits`]: `response_headers` and `request_headers`.

use http::header::{self, HeaderMap, HeaderName};
use toml::de::DeValue;

use super::Facts;
use super::template::{Template, render};
use crate::reader::{Diagnostic, Value};
use crate::routes::Captures;

/// The edits of a message's header fields, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldEdits(Vec<Edit>);

/// The edit of one field: its lines are replaced. Without new ones it is removed.
#[derive(Clone, Debug)]
struct Edit {
    name: HeaderName,
    values: Vec<Template>,
}

/// The message whose fields are edited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    Request,
    Response,
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

// === impl FieldEdits ===

impl FieldEdits {
    /// Reads the tables of a route and of its defaults, the one with precedence first. A field is
    /// edited as the first table with its name says.
    ///
    /// `names` are the names in the route's path; `None` if any may be there.
    pub(crate) fn read<'v>(
        tables: impl IntoIterator<Item = Value<'v>>,
        message: Message,
        names: Option<&[&str]>,
    ) -> Option<Self> {
        let mut edits: Vec<Edit> = Vec::new();
        for value in tables {
            for edit in table(value, message, names)? {
                if edits.iter().all(|other| other.name != edit.name) {
                    edits.push(edit);
                }
            }
        }
        Some(Self(edits))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if a value depends on the request.
    pub(crate) fn needs_facts(&self) -> bool {
        self.0.iter().flat_map(|edit| &edit.values).any(|template| matches!(template, Template::Made(_)))
    }

    /// Edits the fields. Without `facts`, values that depend on the request are left out.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, facts: Option<&Facts>, captures: &Captures) {
        for Edit { name, values } in &self.0 {
            headers.remove(name);
            for template in values {
                let value = match template {
                    Template::Fixed(value) => Some(value.clone()),
                    Template::Made(parts) => facts.and_then(|facts| render(parts, facts, captures)),
                };
                if let Some(value) = value {
                    headers.append(name, value);
                }
            }
        }
    }
}

// === impl Message ===

impl Message {
    const fn key(self) -> &'static str {
        match self {
            Self::Request => "request_headers",
            Self::Response => "response_headers",
        }
    }

    /// The reason why a field cannot be edited.
    fn reserved(self, name: &HeaderName) -> Option<&'static str> {
        match self {
            Self::Request if *name == header::HOST => Some("preserve_host decides about it"),
            _ if RESERVED.contains(name) => Some("the server computes it"),
            _ => None,
        }
    }
}

/// Reads the edits of one table.
fn table(value: Value<'_>, message: Message, names: Option<&[&str]>) -> Option<Vec<Edit>> {
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
        if let Some(why) = message.reserved(&name) {
            let what = format!("{text} cannot be set, because {why}");
            edits.push(wrong(what, "another field"));
            continue;
        }
        if edits.iter().flatten().any(|edit| edit.name == name) {
            edits.push(wrong(format!("\"{text}\" is there twice"), "a list for several lines"));
            continue;
        }
        edits.push(edit(name, value.at(message.key(), raw), names));
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
