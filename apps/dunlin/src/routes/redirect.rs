//! `redirect` routes: another URL instead of an answer.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use dunlin_http::{Body, Context, Handler, Problem, Reply, ReplyFuture, SharedHandler};
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode, Uri};

use super::{Captures, EventLoop, Head, Key, Kind, Prepared, Process, Room};
use crate::reader::{Diagnostic, Methods, Pattern, Piece, Section, Span, Value, nearest};

pub(super) const KIND: Kind = Kind {
    name: "redirect",
    keys: KEYS,
    methods: || Methods::Any,
    in_memory: false,
    forwards: false,
    read: |table, head| Redirect::read(table, head).map(|redirect| Box::new(redirect) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new("redirect", "", "a URL, or a path here; `{name}` stands for what the path has there"),
    Key::new("status", "308", "301, 302, 303, 307 or 308"),
];

const EXPECTED: &str = "a URL such as \"https://example.com/{rest}\", or a path such as \"/new/{rest}\"";

/// A `redirect` route as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    parts: Vec<Part>,
    /// The template as it was written.
    text: String,
    status: StatusCode,
    captures: Captures,
    pattern: Pattern,
    /// The place of the target.
    pub(crate) span: Span,
}

/// The place that a redirect leads to.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// The host; `None` for the one that the request was for.
    pub(crate) host: Option<String>,
    pub(crate) is_https: bool,
    pub(crate) path: String,
}

/// A part of the target.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Capture(String),
}

// === impl Target ===

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host.as_deref().unwrap_or_default(), self.path)
    }
}

// === impl Redirect ===

impl Redirect {
    fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Self> {
        let status = match table.get("status") {
            Some(value) => status(value),
            None => Some(StatusCode::PERMANENT_REDIRECT),
        };
        let value = table.get("redirect")?;
        let text = value.str(EXPECTED)?;
        let parts = parse(text, head.path).map_err(|error| error.report(value, text)).ok()?;
        Some(Self {
            parts,
            text: text.to_owned(),
            status: status?,
            captures: Captures::new(head.path),
            pattern: head.path.clone(),
            span: value.span(),
        })
    }

    /// The value of `Location` for a request, whose path the pattern matched.
    fn location(&self, path: &str, query: Option<&str>) -> String {
        let mut location = String::with_capacity(self.text.len() + path.len());
        for part in &self.parts {
            match part {
                Part::Literal(text) => location.push_str(text),
                // The client's own encoding is kept: to decode and encode again could change it.
                Part::Capture(name) => location.push_str(self.captures.raw(path, name).unwrap_or_default()),
            }
        }
        if location.starts_with('/') {
            // `//host` and `/\host` would lead to another host, which the client could choose.
            let rest = location.trim_start_matches(['/', '\\']);
            location = format!("/{rest}");
        }
        match query.filter(|_| !self.text.contains('?')) {
            None => location,
            Some(query) => {
                let (url, fragment) = location.split_once('#').unwrap_or((&location, ""));
                let hash = if fragment.is_empty() { "" } else { "#" };
                format!("{url}?{query}{hash}{fragment}")
            }
        }
    }

    /// The place that a request for `path` is sent to; `None` if it has a port of its own.
    pub(crate) fn follow(&self, path: &str) -> Option<Target> {
        let location = self.location(path, None);
        let location = &location[..location.find(['?', '#']).unwrap_or(location.len())];
        let Some((scheme, after)) = location.split_once("://").filter(|_| !location.starts_with('/')) else {
            return Some(Target { host: None, is_https: false, path: location.to_owned() });
        };
        let (host, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        let path = if path.is_empty() { "/" } else { path };
        let target = Target { host: Some(host.to_owned()), is_https: scheme == "https", path: path.to_owned() };
        (!host.contains(':')).then_some(target)
    }

    /// A path that the pattern matches, with `rest` for its `{*rest}`.
    pub(crate) fn sample(&self, rest: &str) -> String {
        let segment = |piece| match piece {
            Piece::Literal(text) => text,
            Piece::Name(_) => "sample",
            Piece::Rest(_) => rest,
        };
        self.pattern.pieces().fold(String::new(), |path, piece| path + "/" + segment(piece))
    }
}

impl Room for Redirect {
    fn describe(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.text)
    }

    fn prepare(&self, _: &Process<'_>) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(self.clone()))
    }

    fn is_compressible(&self, _: &dunlin_compress::Config) -> bool {
        false
    }

    fn redirect(&self) -> Option<&Redirect> {
        Some(self)
    }
}

impl Prepared for Redirect {
    fn build(&self, _: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        Ok(Arc::new(self.clone()))
    }
}

impl<C> Handler<C> for Redirect {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, _: &C) -> ReplyFuture {
        let location = self.location(request.uri().path(), request.uri().query());
        let response = match HeaderValue::from_str(&location) {
            Ok(location) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = self.status;
                response.headers_mut().insert(LOCATION, location);
                response
            }
            Err(_) => Problem::new(StatusCode::BAD_REQUEST).into_response(),
        };
        ReplyFuture::ready(Reply::Response(response))
    }
}

fn status(value: Value<'_>) -> Option<StatusCode> {
    const EXPECTED: &str = "301, 302, 303, 307 or 308";
    let number = value.integer(300, 399, EXPECTED)?;
    match number {
        301 | 302 | 303 | 307 | 308 => StatusCode::from_u16(number as u16).ok(),
        _ => value.wrong(number, EXPECTED, None),
    }
}

/// The error in a target.
#[derive(Debug, PartialEq)]
enum Wrong {
    /// Neither a URL nor a path.
    Form,
    /// Characters that a URL cannot have.
    Characters,
    /// A part of the host comes from the request.
    Host,
    /// The path has no such name.
    Name { name: String, meant: Option<String> },
}

impl Wrong {
    fn report(self, value: Value<'_>, text: &str) {
        let (what, meant) = match self {
            Self::Form => (format!("\"redirect\" cannot be \"{text}\""), None),
            Self::Characters => (format!("\"{text}\" has characters that a URL cannot have"), None),
            Self::Host => {
                let what = "the client could choose the host of this redirect: a slash is missing before {…}";
                (what.to_owned(), None)
            }
            Self::Name { name, meant } => (format!("the path of this route has no {{{name}}}"), meant),
        };
        value.error(Diagnostic::new(value.span(), what).expected(EXPECTED).meant(meant));
    }
}

/// Reads a target.
fn parse(text: &str, path: &Pattern) -> Result<Vec<Part>, Wrong> {
    let mut parts = Vec::new();
    let mut left = text;
    while let Some((literal, after)) = left.split_once('{') {
        let (name, rest) = after.split_once('}').ok_or(Wrong::Form)?;
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        if path.names().all(|own| own != name) {
            let known: Vec<&str> = path.names().collect();
            let meant = nearest(name.trim_start_matches('*'), &known).map(|name| format!("{{{name}}}"));
            return Err(Wrong::Name { name: name.to_owned(), meant });
        }
        parts.push(Part::Capture(name.to_owned()));
        left = rest;
    }
    if !left.is_empty() {
        parts.push(Part::Literal(left.to_owned()));
    }
    let Some(Part::Literal(first)) = parts.first() else { return Err(Wrong::Form) };
    match first.split_once("://") {
        Some(("http" | "https", after)) => {
            // Without a slash, what follows would belong to the host.
            if parts.len() > 1 && !after.contains(['/', '?', '#']) {
                return Err(Wrong::Host);
            }
        }
        _ if first.starts_with('/') && !first.starts_with("//") => {}
        _ => return Err(Wrong::Form),
    }
    let sample: String = parts.iter().map(|part| if let Part::Literal(text) = part { text } else { "x" }).collect();
    let url = sample.split('#').next().unwrap_or_default();
    let valid = url.parse::<Uri>().is_ok_and(|url| url.scheme().is_none() || url.host().is_some());
    if valid && sample.is_ascii() { Ok(parts) } else { Err(Wrong::Characters) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(path: &str, target: &str) -> Redirect {
        let pattern = Pattern::parse(path).unwrap();
        Redirect {
            parts: parse(target, &pattern).unwrap(),
            text: target.to_owned(),
            status: StatusCode::PERMANENT_REDIRECT,
            captures: Captures::new(&pattern),
            pattern,
            span: 0..0,
        }
    }

    #[test]
    fn locations() {
        #[track_caller]
        fn check(path: &str, target: &str, request: &str, expect: &str) {
            let uri: Uri = request.parse().unwrap();
            assert_eq!(redirect(path, target).location(uri.path(), uri.query()), expect, "{path} {target} {request}");
        }
        check("/{*rest}", "https://example.com/{rest}", "/a/b?c=d", "https://example.com/a/b?c=d");
        check("/{*rest}", "https://example.com/{rest}", "/", "https://example.com/");
        check("/{*rest}", "https://example.com/?to={rest}", "/a?b", "https://example.com/?to=a");
        check("/old/{id}", "/new/{id}#top", "/old/7?x=1", "/new/7?x=1#top");
        check("/old/{id}", "/new/{id}", "/old/a%2Fb%0d%0aX:1", "/new/a%2Fb%0d%0aX:1");
        check("/{a}/{b}", "/{b}/{a}", "/1/2", "/2/1");
        // The host is never the client's choice.
        check("/{*rest}", "/{rest}", "//evil.example/x", "/evil.example/x");
        check("/x/{*rest}", "/{rest}", "/x//\\evil.example", "/evil.example");
        check("/x/{*rest}", "/{rest}", "/x/\\evil.example", "/evil.example");
    }

    #[test]
    fn wrong_targets() {
        #[track_caller]
        fn check(target: &str, expect: &Wrong) {
            assert_eq!(&parse(target, &Pattern::parse("/{name}/{*rest}").unwrap()).unwrap_err(), expect, "{target}");
        }
        check("", &Wrong::Form);
        check("{rest}", &Wrong::Form);
        check("//example.com/{rest}", &Wrong::Form);
        check("example.com/{rest}", &Wrong::Form);
        check("ftp://example.com/", &Wrong::Form);
        check("javascript:alert(1)", &Wrong::Form);
        check("https://example.com{rest}", &Wrong::Host);
        check("https://{name}.example.com/", &Wrong::Host);
        check("/a b", &Wrong::Characters);
        check("/a\r\nX: 1", &Wrong::Characters);
        check("/{*rest}", &Wrong::Name { name: "*rest".into(), meant: Some("{rest}".into()) });
        check("/{nam}", &Wrong::Name { name: "nam".into(), meant: Some("{name}".into()) });
    }
}
