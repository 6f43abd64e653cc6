//! The real memory of a cache while more keys pass through than it can store:
//! `cargo run --release --example bound -- [keys] [bytes of each body]`. It fails if the process
//! grows by more than 1.5 times the limit.

use std::convert::Infallible;
use std::process::ExitCode;

use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_http::Body;
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service, service_fn};

const LIMIT: u64 = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().unwrap_or(0));
    let keys: u64 = arguments.next().unwrap_or(1_000_000);
    let bytes: usize = arguments.next().unwrap_or(1000) as usize;

    let cache = Cache::new(Config { memory: LIMIT, ..Config::default() });
    let origin = service_fn(move |_: Request<Body>| async move {
        let mut response = Response::new(Body::from(vec![b'x'; bytes]));
        for (name, value) in [
            ("cache-control", "max-age=3600"),
            ("content-type", "application/json"),
            ("etag", "\"0123456789abcdef\""),
            ("x-request-id", "0123456789abcdef0123456789abcdef"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok::<_, Infallible>(response)
    });
    let mut service = cache.layer(RoutePolicy::default()).layer(origin);

    let before = resident();
    let mut max = 0;
    for key in 0..keys {
        let uri = format!("/items/{key}?page={}", key % 7);
        let request = Request::get(uri).header("host", "example.com").body(Body::empty());
        if let Ok(request) = request {
            let _ = service.call(request).await;
        }
        if key % 10_000 == 0 {
            max = max.max(resident());
        }
    }
    let stats = cache.stats();
    let grown = max.saturating_sub(before);
    println!("keys stored {}, weighed {} MiB, grown by {} MiB", stats.keys, stats.bytes >> 20, grown >> 20);
    if grown > LIMIT + LIMIT / 2 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The resident memory of this process in bytes, on Linux.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
