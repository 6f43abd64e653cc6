//! Random fields of origins and clients: no panic, no content but the origin's, and valid fields.

use dunlin_cache::RoutePolicy;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::world::{World, headers, response};

const RESPONSE_FIELDS: [&str; 16] = [
    "age",
    "cache-control",
    "cache-groups",
    "cache-status",
    "cdn-cache-control",
    "connection",
    "content-language",
    "content-location",
    "content-range",
    "date",
    "etag",
    "expires",
    "last-modified",
    "no-vary-search",
    "set-cookie",
    "vary",
];

const REQUEST_FIELDS: [&str; 10] = [
    "accept-language",
    "authorization",
    "cache-control",
    "foo",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
    "connection",
    "host",
];

/// Values that are valid in some field, and random ones.
fn value() -> impl Strategy<Value = String> {
    let known = [
        "max-age=60",
        "max-age=60, stale-while-revalidate=9",
        "no-cache=\"foo\"",
        "public",
        "foo",
        "*",
        "foo, Range",
        "\"a\"",
        "W/\"a\"",
        "\"a\", \"b\"",
        "0",
        "7",
        "bytes=0-1",
        "bytes=-1",
        "bytes 0-1/9",
        "bytes 0-8/9",
        "bytes 4-9/9",
        "params",
        "key-order, params=(\"a\")",
        "en, de;q=0.5",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 2094 08:49:37 GMT",
        "close",
    ];
    prop_oneof![4 => select(known.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{0,24}"]
}

fn fields(names: &'static [&'static str]) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    vec((select(names), value()), 0..6)
}

type Lines = Vec<(&'static str, String)>;

async fn run(requests: Vec<(bool, u8, Lines)>, response_fields: Lines, status: u16) {
    let world = World::with(RoutePolicy { set_cookie: true, ..RoutePolicy::default() });
    world.origin.reply_with(move |_| {
        let mut made = response(status, &[], "some text");
        let lines: Vec<_> = response_fields.iter().map(|(name, value)| (*name, value.trim())).collect();
        *made.headers_mut() = headers(&lines);
        made
    });
    for (head, query, lines) in requests {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.trim())).collect();
        let (method, path) = (if head { "HEAD" } else { "GET" }, format!("/a?a={query}&b"));
        let answer = world.fetch(method, &path, &lines).await;
        // A 206 with the whole content becomes a 200.
        let whole = if status == 206 { 200 } else { status };
        let allowed = [status, whole, 206, 304, 416, 504];
        assert!(allowed.contains(&answer.status.as_u16()), "{answer:?}");
        if answer.status != 504 {
            assert!("some text".contains(answer.text()), "{answer:?}");
        }
        let own = answer.cache_status().rsplit(", dunlin").next().unwrap_or_default();
        assert!(!own.is_empty(), "{answer:?}");
        world.advance(5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_input_breaks_the_cache(
        requests in vec((proptest::bool::weighted(0.1), 0..2_u8, fields(&REQUEST_FIELDS)), 1..8),
        response_fields in fields(&RESPONSE_FIELDS),
        status in select(vec![200_u16, 200, 200, 206, 204, 301, 304, 404, 416, 503, 599]),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run(requests, response_fields, status));
    }
}
