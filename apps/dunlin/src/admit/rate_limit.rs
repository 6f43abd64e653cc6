//! `rate_limit`: how many requests a client may send.

use std::sync::Arc;
use std::time::Duration;

use dunlin_http::{Body, Context};
use dunlin_limit::{Decision, Limiter, Quota, client_key, refusal};
use http::{HeaderName, Request, Response};

use crate::reader::{Diagnostic, Section, Value};

/// A route's limit, which all event loops share.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    pub(super) limiter: Arc<Limiter>,
    key: Key,
    /// `true` if requests over the limit are counted and not refused.
    dry_run: bool,
}

/// The fact that requests are counted by.
#[derive(Clone, Debug)]
enum Key {
    Client,
    Header(HeaderName),
    Claim(String),
}

/// Bytes of a field's or claim's value that count. Longer values are hashed by the limiter anyway;
/// this bounds the work.
const MAX_KEY: usize = 1024;

const EXPECTED: &str = "a table such as { requests = 10, per = \"1s\", burst = 20, key = \"client\" }";

// === impl RateLimit ===

impl RateLimit {
    /// Reads the value of `rate_limit`.
    pub(super) fn read(value: Value<'_>) -> Option<Self> {
        let mut table = match value.raw() {
            toml::de::DeValue::Table(_) => value.section("rate_limit")?,
            _ => return value.wrong_type(EXPECTED),
        };
        let limit = Self::keys(&mut table, value);
        table.finish(|_| None);
        limit
    }

    fn keys(table: &mut Section<'_>, value: Value<'_>) -> Option<Self> {
        let requests: Option<u32> = table.require("requests");
        let per = table.or("per", Duration::from_secs(1));
        let burst: Option<u32> = table.read("burst");
        let key = table.get("key").map_or(Some(Key::Client), Key::read);
        let dry_run = table.or("dry_run", false);
        let requests = requests?;
        match Quota::new(requests, per, burst.unwrap_or(requests)) {
            Ok(quota) => Some(Self { limiter: Arc::new(Limiter::new(quota)), key: key?, dry_run }),
            Err(error) => {
                value.error(Diagnostic::new(value.span(), error.to_string()).expected(EXPECTED));
                None
            }
        }
    }

    pub(crate) const fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    /// Returns `true` if requests are counted by a field.
    pub(super) const fn reads_fields(&self) -> bool {
        matches!(self.key, Key::Header(_))
    }

    /// Returns `true` if only a verified client can be counted.
    pub(super) const fn needs_identity(&self) -> bool {
        matches!(self.key, Key::Claim(_))
    }

    /// The response to a request over the limit.
    pub(super) fn refuse(&self, request: &Request<Body>, context: &Context) -> Option<Response<Body>> {
        let decision = match &self.key {
            Key::Client => self.limiter.check(client_key(context.client.ip).as_bytes()),
            Key::Header(name) => {
                let value = request.headers().get(name).map_or(&b""[..], |value| value.as_bytes());
                self.limiter.check(&value[..value.len().min(MAX_KEY)])
            }
            Key::Claim(name) => {
                let text = context.identity.as_ref().and_then(|identity| identity.text(name)).unwrap_or_default();
                self.limiter.check(&text.as_bytes()[..text.len().min(MAX_KEY)])
            }
        };
        match decision {
            Decision::Refused { retry_after } if !self.dry_run => Some(refusal(retry_after)),
            _ => None,
        }
    }
}

// === impl Key ===

impl Key {
    fn read(value: Value<'_>) -> Option<Self> {
        const EXPECTED: &str = "\"client\", \"header.NAME\" or \"claim.NAME\"";
        let text = value.str(EXPECTED)?;
        let key = match text.split_once('.') {
            None if text == "client" => Some(Self::Client),
            Some(("header", name)) => name.parse().ok().map(Self::Header),
            Some(("claim", name)) if !name.is_empty() => Some(Self::Claim(name.to_owned())),
            _ => None,
        };
        key.or_else(|| value.wrong(format_args!("\"{text}\""), EXPECTED, None))
    }
}
