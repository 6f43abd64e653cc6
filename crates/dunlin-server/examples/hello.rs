//! A minimal service, to measure the server: `hello PORT WORKERS`.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};

use dunlin_http::Body;
use dunlin_server::{Addr, Config, Server};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Hello;

impl Service<Request<Body>> for Hello {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut response = Response::new(Body::from("Hello, World!"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        std::future::ready(Ok(response))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(8080), |text| text.parse())?;
    let workers = args.next().map_or(Ok(1), |text| text.parse())?;
    let listen = vec![Addr::Tcp(([127, 0, 0, 1], port).into()).into()];
    let running = Server::bind(Config { listen, workers, ..Config::default() })?.start(|_| async { Ok(Hello) })?;
    tokio::runtime::Builder::new_current_thread().build()?.block_on(running.stopped());
    Ok(())
}
