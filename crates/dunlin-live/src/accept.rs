//! The fields of a request that asks for events.

use dunlin_http::list;
use dunlin_http::media_type::MediaType;
use dunlin_http::negotiate::qvalue;
use http::HeaderMap;
use http::header::{ACCEPT, HeaderName};

const EVENT_STREAM: &str = "text/event-stream";

/// The field with which a client continues a stream (HTML §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Returns `true` if a client asks for events: its `Accept` names `text/event-stream`, and prefers
/// no JSON. A wildcard is not enough, because most clients send one.
#[must_use]
pub fn accepts_events(headers: &HeaderMap) -> bool {
    let (mut events, mut json) = (0, 0);
    for range in list::elements(headers, &ACCEPT) {
        let Some(media_type) = MediaType::parse(range) else { continue };
        let weight = media_type.parameter("q").map_or(Some(1000), |q| qvalue(&q)).unwrap_or(0);
        if media_type.is(EVENT_STREAM) {
            events = weight;
        } else if media_type.is("application/json") {
            json = weight;
        }
    }
    events > 0 && events >= json
}

/// The id of the last event that a client has seen.
#[must_use]
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(LAST_EVENT_ID)?.to_str().ok().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expect: bool) {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(accepts_events(&headers), expect, "{accept}");
    }

    #[test]
    fn events_are_asked_for_by_name() {
        check("", false);
        check("*/*", false);
        check("text/*", false);
        check("application/json", false);
        check("text/event-stream", true);
        check("Text/Event-Stream; charset=utf-8", true);
        check("text/event-stream, */*;q=0.1", true);
        check("text/event-stream;q=0, */*", false);
        check("application/json, text/event-stream;q=0.5", false);
        check("application/json;q=0.5, text/event-stream", true);
        check("text/event-stream;q=x", false);
    }
}
