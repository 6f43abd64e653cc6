//! `live`: the result of a query as server-sent events.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dunlin_http::{Body, Clock, Context, Handler, Identity, Problem, ReplyFuture};
use dunlin_live::{Hub, Refused, Snapshot, Source, last_event_id};
use dunlin_pg::{Answer, BoundQuery, QueryService};
use http::{Method, Request, Response, StatusCode};
use toml::de::DeValue;

use super::{Captures, Head};
use crate::reader::{Diagnostic, Group, Read as _, Section};

/// The results of a route that are watched, for all event loops.
pub(super) type Watched = Source<Failure>;

/// The events of a route on one event loop.
pub(super) struct Events {
    pub(super) watched: Watched,
    pub(super) service: QueryService,
    pub(super) captures: Captures,
}

/// The reason why a result cannot be read.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Database(dunlin_pg::Error),
    TooLarge,
}

/// The limit of a result, in bytes.
const LIMIT: usize = 1024 * 1024;

/// Reads `live`: the groups whose changes are events, or `None` without it.
pub(super) fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Option<Vec<String>>> {
    const EXPECTED: &str = "true, false, or a table such as { groups = [\"todos\"] }";
    let Some(value) = table.get("live") else { return Some(None) };
    let groups = match value.raw() {
        DeValue::Boolean(false) => return Some(None),
        DeValue::Boolean(true) => head.cache.groups().to_vec(),
        DeValue::Table(_) => {
            let mut table = value.section("live")?;
            let groups = table.get("groups").and_then(|value| value.list(Group::read));
            table.finish(|_| None);
            groups.unwrap_or_default().into_iter().map(|Group(name)| name).collect()
        }
        _ => return value.wrong_type(EXPECTED),
    };
    let wrong = |what: &str, expected: &str| {
        value.error(Diagnostic::new(table.key_span("live"), what).expected(expected));
        None
    };
    if head.methods.as_slice() != [Method::GET] {
        return wrong("\"live\" belongs to a route that answers GET alone", "method = \"GET\", or no live");
    }
    if let Some(other) = ["page", "raw"].into_iter().find(|key| table.has(key)) {
        return wrong(&format!("\"live\" and \"{other}\" do not go together"), "one of them");
    }
    if groups.is_empty() {
        let expected = "cache = { groups = [\"todos\"] } on this route, or live = { groups = [\"todos\"] }";
        return wrong("\"live\" needs the groups whose changes it follows", expected);
    }
    Some(Some(groups))
}

/// Makes the watched results of a route.
pub(super) fn watched(hub: &Hub, groups: &[String]) -> Watched {
    hub.source(groups.iter().cloned())
}

// === impl Events ===

impl Handler<Context> for Events {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        let (parts, _) = request.into_parts();
        let mut context = context.clone();
        context.params = self.captures.decoded(parts.uri.path());
        let query = match self.service.bind(&parts, &context) {
            Ok(query) => query,
            Err(error) => return ReplyFuture::ready(error.problem().into_response()),
        };
        let identity = context.identity.as_deref();
        let request = dunlin_live::Request {
            key: key(&query, identity),
            last_event_id: last_event_id(&parts.headers).map(str::to_owned),
            lifetime: identity.and_then(|identity| lifetime(identity, Clock::system().now())),
        };
        let watched = self.watched.clone();
        ReplyFuture::response(async move {
            match watched.watch(request, move || look(query.clone())).await {
                Ok(events) => events.into_response(),
                Err(refused) => refusal(refused),
            }
        })
    }
}

/// The key of a result: the parameters and the settings, and the client. A result is never shared
/// between clients with different identities.
fn key(query: &BoundQuery, identity: Option<&Identity>) -> Vec<u8> {
    let mut key = query.key();
    match identity.map(|identity| (identity.subject(), identity)) {
        None => {}
        Some((Some(subject), _)) => {
            key.push(1);
            key.extend_from_slice(subject.as_bytes());
        }
        // Nothing but the claims distinguishes this client from others.
        Some((None, identity)) => {
            key.push(2);
            key.extend_from_slice(serde_json::Value::from(identity.claims().clone()).to_string().as_bytes());
        }
    }
    key
}

/// The time until the client's credentials expire (RFC 7519 §4.1.4).
fn lifetime(identity: &Identity, now: SystemTime) -> Option<Duration> {
    let expires = identity.claim("exp")?.as_f64()?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::try_from_secs_f64(expires).ok().map(|expires| expires.saturating_sub(now))
}

/// Reads the result.
async fn look(query: BoundQuery) -> Result<Snapshot, Failure> {
    let content = match query.run().await.map_err(Failure::Database)? {
        Answer::Rows(content) | Answer::Part(content) | Answer::Raw { body: content, .. } => content,
        Answer::Stream(body) => body.collect(LIMIT).await.map_err(|_| Failure::TooLarge)?,
        Answer::None => return Ok(Snapshot::Gone),
        Answer::Changed(_) => Bytes::from_static(b"[]"),
    };
    if content.len() > LIMIT { Err(Failure::TooLarge) } else { Ok(Snapshot::Content(content)) }
}

fn refusal(refused: Refused<Failure>) -> Response<Body> {
    match refused {
        Refused::Gone => Problem::new(StatusCode::NOT_FOUND).detail("there is no such row"),
        Refused::Failed(Failure::Database(error)) => error.problem(),
        Refused::Failed(Failure::TooLarge) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR).detail("the result is too large to be watched")
        }
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail("the service is stopping").retry_after(1),
    }
    .into_response()
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::TooLarge => write!(f, "the result has more than {LIMIT} bytes; use LIMIT in the query"),
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("service", &self.service).finish_non_exhaustive()
    }
}

/// The events of a route, if it has any, shared by its event loops.
pub(super) fn handler(watched: Option<&Watched>, service: QueryService, captures: &Captures) -> Option<Arc<Events>> {
    watched.map(|watched| Arc::new(Events { watched: watched.clone(), service, captures: captures.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_the_credentials() {
        #[track_caller]
        fn check(claims: &str, expect: Option<u64>) {
            let identity = Identity::new(serde_json::from_str(claims).unwrap());
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
            assert_eq!(lifetime(&identity, now), expect.map(Duration::from_secs), "{claims}");
        }
        check(r#"{"exp": 1060}"#, Some(60));
        check(r#"{"exp": 900}"#, Some(0));
        check(r#"{"exp": "soon"}"#, None);
        check(r#"{"exp": -1}"#, None);
        check(r#"{"exp": 1e300}"#, None);
        check(r#"{"sub": "ada"}"#, None);
    }
}
