//! The cost of a hit inside the process: `cargo run --release --example hits -- [requests] [keys]
//! [bytes of each body]`. Under callgrind it gives a number of instructions that does not depend on
//! the machine's load. With many keys, requested at random, the time of memory accesses dominates.

use std::convert::Infallible;
use std::time::Instant;

use dunlin_cache::{Cache, Config, RoutePolicy};
use dunlin_http::Body;
use http::{HeaderValue, Request, Response, Uri};
use tower::{Layer, Service, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let argument = |at, other| std::env::args().nth(at).and_then(|argument| argument.parse().ok()).unwrap_or(other);
    let (hits, keys, bytes): (u32, u32, u32) = (argument(1, 1_000_000), argument(2, 1), argument(3, 13_000));
    let cache = Cache::new(Config::default());
    let origin = service_fn(move |_: Request<Body>| async move {
        let mut response = Response::new(Body::from(vec![b'x'; bytes as usize]));
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
    request.headers_mut().insert("host", HeaderValue::from_static("127.0.0.1:8080"));
    request.headers_mut().insert("accept-encoding", HeaderValue::from_static("gzip"));
    let uris: Vec<Uri> = (0..keys).filter_map(|key| format!("/api/items?page={key}").parse().ok()).collect();
    let mut request_uri = async |uri: &Uri| {
        let mut request = request.clone().map(|()| Body::empty());
        *request.uri_mut() = uri.clone();
        let Ok(response) = service.call(request).await;
        // Read all bytes, as sending them does.
        let sum = |bytes: &[u8]| bytes.iter().fold(0, |sum: usize, byte| sum.wrapping_add(usize::from(*byte)));
        let head: usize = response.headers().values().map(|value| sum(value.as_bytes())).sum();
        head.wrapping_add(response.body().as_bytes().map_or(0, sum))
    };
    for uri in &uris {
        request_uri(uri).await;
    }

    let start = Instant::now();
    let (mut sum, mut random) = (0_usize, 1_u64);
    for _ in 0..hits {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sum = sum.wrapping_add(request_uri(&uris[(random >> 33) as usize % uris.len()]).await);
    }
    let each = start.elapsed() / hits;
    println!("{hits} requests, {each:?} each, {} hits, {sum}", cache.stats().hits);
}
