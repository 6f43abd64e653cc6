//! What a hit costs inside the process: `cargo run --release --example hits`. Run it under callgrind for a count of instructions
//! that does not depend on the machine's mood.

use std::convert::Infallible;
use std::time::Instant;

use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_http::Body;
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let hits: u32 = std::env::args().nth(1).and_then(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let cache = Cache::new(Config::default());
    let origin = service_fn(async |_: Request<Body>| {
        let mut response = Response::new(Body::from(vec![b'x'; 13_000]));
        for (name, value) in [
            ("cache-control", "max-age=3600"),
            ("content-type", "application/json"),
            ("etag", "\"0123456789abcdef\""),
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok::<_, Infallible>(response)
    });
    let mut service = cache.layer(RoutePolicy::default()).layer(origin);
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static("/api/items?page=3");
    request.headers_mut().insert("host", HeaderValue::from_static("127.0.0.1:8080"));
    request.headers_mut().insert("accept-encoding", HeaderValue::from_static("gzip"));

    let begun = Instant::now();
    let mut bytes = 0;
    for _ in 0..hits {
        let request = request.clone().map(|()| Body::empty());
        let Ok(response) = service.call(request).await;
        bytes += response.body().as_bytes().map_or(0, <[u8]>::len);
    }
    let each = begun.elapsed() / hits;
    println!("{hits} requests, {bytes} bytes, {each:?} each, {} hits", cache.stats().hits);
}
