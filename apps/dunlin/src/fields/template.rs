//! [`Template`]: the value of a field, with placeholders for facts about the request.

use http::HeaderValue;

use super::Facts;
use crate::reader::{Diagnostic, Value, nearest};
use crate::routes::Captures;

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Template {
    /// The same value for each response.
    Fixed(HeaderValue),
    /// A value that is made from the request.
    Made(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    ClientIp,
    Host,
    Scheme,
    RequestId,
    Path(String),
    Claim(String),
}

/// The placeholders, apart from `{path.NAME}` and `{claim.NAME}`.
const PLACEHOLDERS: &[(&str, Part)] =
    &[("client_ip", Part::ClientIp), ("host", Part::Host), ("scheme", Part::Scheme), ("request_id", Part::RequestId)];

const EXPECTED: &str =
    "only the placeholders {client_ip}, {host}, {scheme}, {request_id}, {path.NAME} and {claim.NAME}";

// === impl Template ===

impl Template {
    /// Reads a value. `names` are the names in the path; `None` if any may be there.
    pub(super) fn read(value: Value<'_>, names: Option<&[&str]>) -> Option<Self> {
        let text = value.str("a string")?;
        let parts = parse(text);
        for part in &parts {
            match part {
                Err(name) => {
                    let known: Vec<&str> = PLACEHOLDERS.iter().map(|(name, _)| *name).collect();
                    let meant = nearest(name, &known).map(|name| format!("{{{name}}}"));
                    let what = format!("there is no placeholder {{{name}}}");
                    value.error(Diagnostic::new(value.span(), what).expected(EXPECTED).meant(meant));
                    return None;
                }
                Ok(Part::Path(name)) if names.is_some_and(|names| !names.contains(&name.as_str())) => {
                    let meant = nearest(name, names.unwrap_or_default()).map(|name| format!("{{path.{name}}}"));
                    let what = format!("the path of this route has no {{{name}}}");
                    value.error(Diagnostic::new(value.span(), what).meant(meant));
                    return None;
                }
                Ok(_) => {}
            }
        }
        let parts: Vec<Part> = parts.into_iter().flatten().collect();
        if HeaderValue::from_str(text).is_err() {
            return value.wrong("a text with control characters", "the text of a header field, on one line", None);
        }
        match &parts[..] {
            [] => Some(Self::Fixed(HeaderValue::from_static(""))),
            [Part::Text(text)] => HeaderValue::from_str(text).ok().map(Self::Fixed),
            _ => Some(Self::Made(parts)),
        }
    }
}

/// The parts of a text, with the name of each unknown placeholder as an error.
///
/// Braces around anything but a name stand for themselves, as in fields whose value is JSON.
fn parse(text: &str) -> Vec<Result<Part, String>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut left = text;
    while let Some((before, after)) = left.split_once('{') {
        literal.push_str(before);
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        let Some((name, rest)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            literal.push('{');
            left = after;
            continue;
        };
        if !literal.is_empty() {
            parts.push(Ok(Part::Text(std::mem::take(&mut literal))));
        }
        parts.push(match name.split_once('.') {
            Some(("path", name)) => Ok(Part::Path(name.to_owned())),
            Some(("claim", name)) if !name.is_empty() => Ok(Part::Claim(name.to_owned())),
            _ => {
                let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
                known.map(|(_, part)| part.clone()).ok_or_else(|| name.to_owned())
            }
        });
        left = rest;
    }
    literal.push_str(left);
    if !literal.is_empty() {
        parts.push(Ok(Part::Text(literal)));
    }
    parts
}

/// Makes the value of `parts`; `None` if it would be empty.
pub(super) fn render(parts: &[Part], facts: &Facts, captures: &Captures) -> Option<HeaderValue> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::ClientIp => {
                text.push_str(&facts.client_ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default());
            }
            Part::Host => text.push_str(&facts.host),
            Part::Scheme => text.push_str(facts.scheme),
            Part::RequestId => {
                text.push_str(facts.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default());
            }
            // As it was sent, percent-encoded, so that no control character can be in it.
            Part::Path(name) => text.push_str(captures.raw(facts.uri.path(), name).unwrap_or_default()),
            Part::Claim(name) => text.push_str(&facts.claim(name).unwrap_or_default()),
        }
    }
    // RFC 9110 §5.5: a field value has no control characters. A claim may contain some.
    text.retain(|c| !c.is_control());
    HeaderValue::from_str(text.trim()).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_other_braces() {
        #[track_caller]
        fn check(text: &str, expect: &[Result<Part, &str>]) {
            let expect: Vec<Result<Part, String>> =
                expect.iter().map(|part| part.clone().map_err(str::to_owned)).collect();
            assert_eq!(parse(text), expect, "{text}");
        }
        let literal = |text: &str| Ok(Part::Text(text.to_owned()));
        check("", &[]);
        check("DENY", &[literal("DENY")]);
        check("{host}", &[Ok(Part::Host)]);
        check(
            "a {scheme}://{host}/{path.id} b",
            &[
                literal("a "),
                Ok(Part::Scheme),
                literal("://"),
                Ok(Part::Host),
                literal("/"),
                Ok(Part::Path("id".to_owned())),
                literal(" b"),
            ],
        );
        check("{\"group\": \"x\"}", &[literal("{\"group\": \"x\"}")]);
        check("{", &[literal("{")]);
        check("{ host }", &[literal("{ host }")]);
        check("{hst}", &[Err("hst")]);
    }
}
