//! The time of a response through the layer, in microseconds. It is the minimum of many runs, so
//! that other work on the machine does not count.
//!
//! `cargo bench -p dunlin-compress -- [FILE]...` measures files. Without a file, it measures JSON.
//!
//! *once* is content without an id, encoded for this response only. *first* has an id, and its
//! encoding is made to be kept. *hit* is a kept encoding.

#![allow(missing_docs, clippy::unwrap_used, reason = "a program for developers")]

use std::convert::Infallible;
use std::time::Instant;

use bytes::Bytes;
use dunlin_compress::CompressLayer;
use dunlin_http::{Body, BodyId};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

fn main() {
    let files: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let contents: Vec<(String, Bytes)> = match files.is_empty() {
        true => vec![("JSON".into(), json(13_000))],
        false => files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap().into())).collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (name, content) in contents {
        println!("{name}: {} bytes", content.len());
        println!("{:8} {:>10} {:>10} {:>10} {:>10} {:>10}", "", "once", "bytes", "first", "bytes", "hit");
        for coding in ["identity", "gzip", "br", "zstd"] {
            let layer = CompressLayer::default();
            let (once, size) = runtime.block_on(measure(&layer, coding, &content, || None));
            let (first, kept) = runtime.block_on(measure(&layer, coding, &content, || Some(BodyId::new())));
            let id = Some(BodyId::new());
            let (hit, _) = runtime.block_on(measure(&layer, coding, &content, || id));
            println!("{coding:8} {once:>10.1} {size:>10} {first:>10.1} {kept:>10} {hit:>10.2}");
        }
    }
}

/// The minimum time of a response, and its size.
async fn measure(layer: &CompressLayer, coding: &str, content: &Bytes, id: impl Fn() -> Option<BodyId>) -> (f64, u64) {
    let (mut minimum, mut size) = (f64::MAX, 0);
    for _ in 0..300 {
        let (content, id) = (content.clone(), id());
        let service = layer.layer(service_fn(move |_: Request<Body>| {
            let content = content.clone();
            let body = id.map_or_else(|| content.clone().into(), |id| Body::identified(content.clone(), id));
            let response =
                Response::builder().header("content-type", "text/javascript").header("etag", "\"0123456789abcdef\"");
            std::future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
        }));
        let request = Request::get("/").header("accept-encoding", coding).body(Body::empty()).unwrap();
        let start = Instant::now();
        let response = service.oneshot(request).await.unwrap();
        minimum = minimum.min(start.elapsed().as_secs_f64() * 1e6);
        size = response.body().len().unwrap();
    }
    (minimum, size)
}

/// A JSON array of about `len` bytes.
fn json(len: usize) -> Bytes {
    let mut rows = String::from("[");
    let mut state = 1_u32;
    while rows.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let id = state >> 12;
        rows += &format!(
            "{{\"id\":{id},\"name\":\"user {id}\",\"email\":\"user{id}@example.com\",\"score\":{}}},",
            state % 997
        );
    }
    rows.replace_range(rows.len() - 1.., "]");
    rows.into()
}
