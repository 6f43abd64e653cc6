//! The path of a route: literal segments, `{name}`, and `{*rest}` at the end.

use super::source::Diagnostic;
use super::value::{Read, Value};

/// A valid path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    names: Vec<String>,
    rest: bool,
}

/// One segment of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'p> {
    Literal(&'p str),
    /// `{name}`.
    Name(&'p str),
    /// `{*name}`, which also matches nothing.
    Rest(&'p str),
}

/// The error in a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    what: &'static str,
    meant: Option<String>,
}

// === impl Pattern ===

impl Pattern {
    /// The stand-in for a wrong pattern, so that the other keys of its route can be checked.
    pub(crate) fn unknown() -> Self {
        Self { text: "/{*rest}".to_owned(), names: vec!["rest".to_owned()], rest: true }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The name of the `{*rest}` at its end.
    pub(crate) fn rest(&self) -> Option<&str> {
        self.names.last().filter(|_| self.rest).map(String::as_str)
    }

    /// The segments, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.text.split('/').skip(1).map(|segment| {
            match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
                Some(name) => match name.strip_prefix('*') {
                    Some(rest) => Piece::Rest(rest),
                    None => Piece::Name(name),
                },
                None => Piece::Literal(segment),
            }
        })
    }

    /// The pattern without its names: equal for all patterns that match the same paths.
    pub(crate) fn shape(&self) -> String {
        let shapes = self.text.split('/').map(|segment| match segment.as_bytes() {
            [b'{', b'*', ..] => "{*}",
            [b'{', ..] => "{}",
            _ => segment,
        });
        shapes.collect::<Vec<_>>().join("/")
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = |what, meant| Wrong { what, meant };
        let Some(path) = text.strip_prefix('/') else {
            return Err(wrong("does not start with a slash", Some(format!("/{text}"))));
        };
        if let Some(at) = text.find(['?', '#']) {
            return Err(wrong("is more than a path", Some(text[..at].to_owned())));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("has a space or a control character in it", None));
        }
        let mut names = Vec::new();
        let mut rest = false;
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let Some(name) = parameter(segment).map_err(|what| wrong(what, correct(text)))? else { continue };
            if let Some(name) = name.strip_prefix('*') {
                rest = true;
                if segments.peek().is_some() {
                    return Err(wrong("has a {*rest} that is not at its end", None));
                }
                names.push(name.to_owned());
            } else {
                names.push(name.to_owned());
            }
            let last = names.len() - 1;
            if !is_name(&names[last]) {
                return Err(wrong("has a parameter whose name is no name", correct(text)));
            }
            if names[..last].contains(&names[last]) {
                return Err(wrong("has two parameters of one name", None));
            }
        }
        Ok(Self { text: text.to_owned(), names, rest })
    }
}

impl Read for Pattern {
    const EXPECTED: &'static str = "a path such as \"/\", \"/users/{id}\" or \"/static/{*path}\"";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        Self::parse(text).map_err(|Wrong { what, meant }| value.path(text, what, meant)).ok()
    }
}

impl Value<'_> {
    fn path(&self, text: &str, what: &str, meant: Option<String>) {
        self.error(
            Diagnostic::new(self.span(), format!("the path \"{text}\" {what}"))
                .expected(Pattern::EXPECTED)
                .meant(meant),
        );
    }
}

/// The name in a segment `{name}`, with its star; `None` for a literal.
fn parameter(segment: &str) -> Result<Option<&str>, &'static str> {
    let inner = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
    if let Some(name) = inner.filter(|name| !name.contains(['{', '}'])) {
        return Ok(Some(name));
    }
    if segment.contains(['{', '}']) {
        return Err("has a parameter that is not a whole segment");
    }
    if segment.starts_with([':', '*', '<']) {
        return Err("has a parameter without braces");
    }
    Ok(None)
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Turns the forms of other routers, `:id`, `<id>` and `*`, into this one.
fn correct(text: &str) -> Option<String> {
    let last = text.split('/').count() - 1;
    let corrected: Vec<String> = text
        .split('/')
        .enumerate()
        .map(|(index, segment)| {
            let name: String = segment.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
            let star = index == last && segment.contains('*');
            match (parameter(segment), star) {
                (Ok(None), _) => segment.to_owned(),
                (_, true) if name.is_empty() => "{*rest}".to_owned(),
                (_, true) => format!("{{*{name}}}"),
                (_, false) => format!("{{{name}}}"),
            }
        })
        .collect();
    Some(corrected.join("/")).filter(|corrected| corrected != text && Pattern::parse(corrected).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right() {
        #[track_caller]
        fn check(text: &str, names: &[&str], rest: Option<&str>) {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(pattern.names().collect::<Vec<_>>(), names, "{text:?}");
            assert_eq!(pattern.rest(), rest, "{text:?}");
        }
        check("/", &[], None);
        check("/users/{id}", &["id"], None);
        check("/a/{b}/c/{d_1}", &["b", "d_1"], None);
        check("/static/{*path}", &["path"], Some("path"));
        check("/{*path}", &["path"], Some("path"));
        check("/über/{größe}", &["größe"], None);
    }

    #[test]
    fn wrong() {
        #[track_caller]
        fn check(text: &str, what: &str, meant: Option<&str>) {
            let wrong = Pattern::parse(text).unwrap_err();
            assert!(wrong.what.contains(what), "{text:?}: {wrong:?}");
            assert_eq!(wrong.meant.as_deref(), meant, "{text:?}");
        }
        check("users", "slash", Some("/users"));
        check("", "slash", Some("/"));
        check("/a?b=c", "more than a path", Some("/a"));
        check("/a b", "space", None);
        check("/users/:id", "braces", Some("/users/{id}"));
        check("/users/<id>", "braces", Some("/users/{id}"));
        check("/static/*", "braces", Some("/static/{*rest}"));
        check("/static/*path", "braces", Some("/static/{*path}"));
        check("/a/{id", "whole segment", Some("/a/{id}"));
        check("/a/x{id}", "whole segment", Some("/a/{xid}"));
        check("/a/{}", "no name", None);
        check("/a/{1}", "no name", None);
        check("/{*rest}/x", "at its end", None);
        check("/{a}/{a}", "one name", None);
    }
}
