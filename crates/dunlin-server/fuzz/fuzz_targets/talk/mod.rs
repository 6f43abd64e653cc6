//! A server on a Unix socket, and one conversation with it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use dunlin_http::{Body, Problem};
use dunlin_server::{Config, Routes, serve_with};
use http::Request;

/// The socket of a server that lives as long as the process.
static SOCKET: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder").keep();
    let path = dir.join("fuzz.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    listener.set_nonblocking(true).expect("a socket that does not block");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
            let routes = Routes::new()
                .get("/", async |_| "Hello, World!")
                .post("/ignore", async |_| "ignored")
                .post("/length", async |request: Request<Body>| match request.into_body().collect(1 << 20).await {
                    Ok(bytes) => Ok(bytes.len().to_string()),
                    Err(error) => Err(Problem::new(error.status())),
                })
                .get("/late", async |_| {
                    tokio::task::yield_now().await;
                    "late"
                });
            let service = routes.build().expect("routes");
            let config = Config { h2c: true, ..Config::default() };
            serve_with(config, listener, service, std::future::pending()).await
        })
    });
    path
});

/// Sends `input`, closes the client's half, and reads to the end.
pub fn talk(input: &[u8]) -> Vec<u8> {
    let mut client = UnixStream::connect(&*SOCKET).expect("the server serves on");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    // The server may close before everything is sent.
    let _ = client.write_all(input);
    let _ = client.shutdown(Shutdown::Write);
    let mut output = Vec::new();
    if let Err(error) = client.read_to_end(&mut output) {
        assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "the connection does not end: {error}");
    }
    output
}
