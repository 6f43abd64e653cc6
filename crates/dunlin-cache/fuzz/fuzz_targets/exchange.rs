//! Random fields of an origin and a client. Every response has the content, or the part of it that
//! its `Content-Range` names. A response that must not be stored is not stored. `Age` is a number.
//!
//! The input is lines. The first letter names the field, the rest is its value; capitals are the
//! request's.

#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;

use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_http::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};

const CONTENT: &str = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";

struct World {
    runtime: tokio::runtime::Runtime,
    cache: Cache,
    inputs: u64,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World {
        runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
        cache: Cache::new(Config { memory: 1 << 20, ..Config::default() }),
        inputs: 0,
    });
}

fn field(letter: char) -> Option<&'static str> {
    Some(match letter {
        'c' | 'C' => "cache-control",
        'd' => "cdn-cache-control",
        'v' => "vary",
        'a' => "age",
        'e' => "expires",
        'D' | 't' => "date",
        'g' => "etag",
        'l' => "last-modified",
        'r' => "content-range",
        'n' => "no-vary-search",
        's' => "cache-status",
        'o' => "cache-groups",
        'R' => "range",
        'I' => "if-range",
        'N' => "if-none-match",
        'M' => "if-modified-since",
        'F' => "foo",
        'L' => "accept-language",
        'P' => "pragma",
        _ => return None,
    })
}

fn headers(input: &str, of_request: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in input.lines().take(16) {
        let mut rest = line.chars();
        let Some(letter) = rest.next().filter(|letter| letter.is_ascii_uppercase() == of_request) else { continue };
        if let (Some(name), Ok(value)) = (field(letter), HeaderValue::from_str(rest.as_str())) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// The first and the last byte of a `Content-Range`.
fn named(headers: &HeaderMap) -> Option<(usize, usize)> {
    let range = headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?;
    let (first, last) = range.split_once('/')?.0.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fuzz_target!(|input: &str| {
    WORLD.with_borrow_mut(|world| {
        let World { runtime, cache, inputs } = world;
        *inputs += 1;
        let (response_fields, request_fields) = (headers(input, false), headers(input, true));
        let part = named(&response_fields).filter(|(first, last)| first <= last && *last < CONTENT.len());
        let origin = response_fields.clone();
        let service = service_fn(move |_: Request<Body>| {
            let mut response = Response::new(Body::from(CONTENT));
            if let Some((first, last)) = part {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                *response.body_mut() = CONTENT[first..=last].into();
            }
            *response.headers_mut() = origin.clone();
            async { Ok::<_, Infallible>(response) }
        });
        let service = cache.layer(RoutePolicy::default()).layer(service);
        for round in 0..3 {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = format!("/{inputs}?a={}", *inputs % 3).parse().unwrap();
            // The first request is for the whole content, so that later ones can get parts of it.
            if round > 0 {
                *request.headers_mut() = request_fields.clone();
            }
            runtime.block_on(async {
                let response = service.clone().oneshot(request).await.unwrap();
                let (parts, body) = response.into_parts();
                let body = body.collect(1 << 20).await.unwrap();
                let status = parts.headers.get_all("cache-status").iter().next_back().unwrap().to_str().unwrap_or_default().to_owned();
                let hit = status.contains("dunlin; hit");
                if hit {
                    let age = parts.headers["age"].to_str().unwrap();
                    assert!(age.parse::<u64>().is_ok_and(|age| age <= 1 << 31), "{age}");
                    let plain = |name: &str, word: &str| {
                        let one = response_fields.get_all(name).iter().count() == 1;
                        let text = response_fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
                        one && !text.contains('"') && text.split(',').any(|directive| directive.trim() == word)
                    };
                    if !response_fields.contains_key("cdn-cache-control") {
                        assert!(!plain("cache-control", "no-store") && !plain("cache-control", "private"), "{response_fields:?}");
                    }
                    assert!(!plain("vary", "*"), "{response_fields:?}");
                }
                match parts.status {
                    StatusCode::OK if part.is_none() => assert_eq!(body, CONTENT, "{status}"),
                    StatusCode::PARTIAL_CONTENT if part.is_none() => match named(&parts.headers) {
                        Some((first, last)) => assert_eq!(body, CONTENT[first..=last], "{status}"),
                        None => assert!(body.len() <= 16 * 200 + CONTENT.len(), "{}", body.len()),
                    },
                    StatusCode::PARTIAL_CONTENT if hit => {
                        let (first, last) = named(&parts.headers).unwrap();
                        assert_eq!(body, CONTENT[first..=last], "{status}");
                    }
                    StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
                    StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE => assert!(body.is_empty()),
                    StatusCode::GATEWAY_TIMEOUT => assert!(request_fields.contains_key("cache-control")),
                    other => panic!("{other} {status}"),
                }
            });
        }
    });
});
