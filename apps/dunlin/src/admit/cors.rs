//! `cors`: cross-origin requests, by the CORS protocol of the Fetch standard.
//!
//! Preflights are answered here. The fields of other responses are added on their way out, outside
//! the cache, so that a stored response serves every origin.

use std::sync::Arc;
use std::time::Duration;

use dunlin_http::{Body, list};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use toml::de::DeValue;

use crate::reader::{Diagnostic, Field, Methods, Section, Value};

/// The cross-origin requests that a route admits.
#[derive(Clone, Debug)]
pub(crate) struct Cors(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    /// The origins; `None` for any.
    origins: Option<Vec<HeaderValue>>,
    /// The methods of preflights; `None` for the requested one.
    methods: Option<HeaderValue>,
    /// The request fields that scripts may set; `None` for the requested ones.
    headers: Option<HeaderValue>,
    /// The response fields that scripts may read.
    expose: Option<HeaderValue>,
    credentials: bool,
    /// The time for which a browser remembers a preflight.
    max_age: Duration,
}

const EXPECTED: &str = "true, an origin such as \"https://app.example.com\", or a table such as { origins = [\"https://app.example.com\"] }";
const ORIGIN_EXPECTED: &str = "an origin such as \"https://app.example.com\", or \"*\"";
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The fields that only this stage writes.
const OWNED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

// === impl Cors ===

impl Cors {
    /// Reads the value of `cors`; `Some(None)` for `false`.
    pub(super) fn read(value: Value<'_>) -> Option<Option<Self>> {
        let rules = match value.raw() {
            DeValue::Boolean(false) => return Some(None),
            DeValue::Boolean(true) => Rules::of(None),
            DeValue::String(_) => Rules::of(origins(value)?),
            DeValue::Table(_) => Rules::read(value)?,
            _ => return value.wrong_type(EXPECTED),
        };
        Some(Some(Self(Arc::new(rules))))
    }

    /// The response to a preflight; `None` for any other request.
    pub(crate) fn preflight(&self, request: &Request<Body>) -> Option<Response<Body>> {
        if !is_preflight(request) {
            return None;
        }
        let rules = &*self.0;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let asked = request.headers();
        let vary = "origin, access-control-request-method, access-control-request-headers";
        headers.insert(VARY, HeaderValue::from_static(vary));
        // Without these fields, a browser does not send the request.
        if asked.get(ORIGIN).is_some_and(|origin| rules.admits(origin)) {
            let methods = rules.methods.as_ref().or_else(|| asked.get(ACCESS_CONTROL_REQUEST_METHOD));
            let fields = rules.headers.as_ref().or_else(|| asked.get(ACCESS_CONTROL_REQUEST_HEADERS));
            for (name, value) in [(ACCESS_CONTROL_ALLOW_METHODS, methods), (ACCESS_CONTROL_ALLOW_HEADERS, fields)] {
                if let Some(value) = value {
                    headers.insert(name, value.clone());
                }
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(rules.max_age.as_secs()));
        }
        Some(response)
    }

    /// Sets the fields of a response to a request from `origin`. `is_preflight`: the response is
    /// that of [`Cors::preflight`].
    pub(crate) fn apply(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>, is_preflight: bool) {
        let rules = &*self.0;
        for name in &OWNED {
            if !is_preflight || matches!(*name, ACCESS_CONTROL_ALLOW_ORIGIN | ACCESS_CONTROL_ALLOW_CREDENTIALS) {
                headers.remove(name);
            }
        }
        if !list::elements(headers, &VARY).any(|name| name == "*" || name.eq_ignore_ascii_case("origin")) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let allowed = match &rules.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(_) => origin.filter(|origin| rules.admits(origin)).cloned(),
        };
        let Some(allowed) = allowed else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if rules.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = rules.expose.as_ref().filter(|_| !is_preflight) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// Returns `true` if a browser asks whether it may send another request.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

// === impl Rules ===

impl Rules {
    const fn of(origins: Option<Vec<HeaderValue>>) -> Self {
        Self { origins, methods: None, headers: None, expose: None, credentials: false, max_age: MAX_AGE }
    }

    fn read(value: Value<'_>) -> Option<Self> {
        let mut table = value.section("cors")?;
        let origins = match table.get("origins") {
            Some(value) => origins(value),
            None => Some(None),
        };
        let methods = match table.get("methods") {
            Some(value) => Methods::read(value).map(|methods| joined(methods.as_slice().iter().map(Method::as_str))),
            None => Some(None),
        };
        let (headers, expose) = (fields(&mut table, "headers"), fields(&mut table, "expose"));
        let credentials = table.or("credentials", false);
        let span = table.value_span("credentials");
        let max_age = table.or("max_age", MAX_AGE);
        table.finish(|_| None);
        let origins = origins?;
        if credentials && origins.is_none() {
            let what = "\"credentials\" cannot be true for any origin, because each site could then act as its visitor";
            value.error(Diagnostic::new(span, what).expected("origins = [\"https://app.example.com\"]"));
            return None;
        }
        Some(Self { origins, methods: methods?, headers, expose, credentials, max_age })
    }

    fn admits(&self, origin: &HeaderValue) -> bool {
        self.origins
            .as_ref()
            .is_none_or(|origins| origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes())))
    }
}

/// Reads one origin or several; `Some(None)` for any.
fn origins(value: Value<'_>) -> Option<Option<Vec<HeaderValue>>> {
    let origins = value.list(|value| {
        let text = value.str(ORIGIN_EXPECTED)?;
        if text == "*" || text == "null" {
            return HeaderValue::from_str(text).ok();
        }
        let url = text.parse::<Uri>().ok();
        let is_origin = url.as_ref().is_some_and(|url| {
            url.scheme().is_some() && url.path() == "/" && url.query().is_none() && !text.ends_with('/')
        });
        if is_origin {
            return HeaderValue::from_str(text).ok();
        }
        let meant = url.and_then(|url| Some(format!("{}://{}", url.scheme_str()?, url.authority()?)));
        value.wrong(format_args!("\"{text}\""), ORIGIN_EXPECTED, meant)
    })?;
    Some((!origins.iter().any(|origin| origin == "*")).then_some(origins))
}

/// Reads names of fields, as one value.
fn fields(table: &mut Section<'_>, key: &'static str) -> Option<HeaderValue> {
    let fields: Vec<Field> = table.read(key)?;
    joined(fields.iter().map(|Field(name)| name.as_str()))
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(origins: &[&'static str]) -> Cors {
        let origins = origins.iter().map(|origin| HeaderValue::from_static(origin)).collect();
        Cors(Arc::new(Rules { credentials: true, ..Rules::of(Some(origins)) }))
    }

    #[test]
    fn a_response_names_the_origin_that_is_admitted() {
        #[track_caller]
        fn check(cors: &Cors, origin: Option<&'static str>, expect: Option<&str>) {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://upstream.example"));
            cors.apply(&mut headers, origin.map(HeaderValue::from_static).as_ref(), false);
            let allowed = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
            assert_eq!(allowed, expect, "{origin:?}");
            assert_eq!(headers[VARY], "origin");
            let credentials = headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
            assert_eq!(credentials, expect.is_some_and(|origin| origin != "*"));
        }
        let app = rules(&["https://app.example"]);
        check(&app, Some("https://app.example"), Some("https://app.example"));
        check(&app, Some("https://app.example.evil"), None);
        check(&app, Some("http://app.example"), None);
        check(&app, Some("null"), None);
        check(&app, None, None);
        check(&Cors(Arc::new(Rules::of(None))), Some("https://any.example"), Some("*"));
    }
}
