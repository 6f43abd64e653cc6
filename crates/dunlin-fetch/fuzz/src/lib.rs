//! An origin for the fuzz targets, on a Unix socket.

use std::future::Future;

use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// A runtime with an origin, which one thread uses again and again.
pub struct Harness {
    runtime: tokio::runtime::Runtime,
    listener: UnixListener,
    uri: String,
}

impl Harness {
    /// Binds a socket in the folder for temporary files.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let socket = std::env::temp_dir().join(format!("dunlin-fetch-fuzz-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(&socket).unwrap() });
        let uri = format!("http://unix:{}:", socket.display());
        Self { runtime, listener, uri }
    }

    /// The URL of `path` on the origin.
    pub fn uri(&self, path: &str) -> Uri {
        format!("{}{path}", self.uri).parse().unwrap()
    }

    /// Runs `client`. The origin reads the head of each request, sends `pieces`, and closes. Also
    /// returns the last head.
    pub fn run<T>(&self, pieces: &[&[u8]], client: impl Future<Output = T>) -> (T, Vec<u8>) {
        let mut head = Vec::new();
        let result = self.runtime.block_on(async {
            let origin = async {
                loop {
                    let (stream, _) = self.listener.accept().await.unwrap();
                    respond(stream, pieces, &mut head).await;
                }
            };
            tokio::select! {
                result = client => result,
                () = origin => unreachable!("the origin never stops"),
            }
        });
        (result, head)
    }
}

async fn respond(mut stream: UnixStream, pieces: &[&[u8]], head: &mut Vec<u8>) {
    let mut received = Vec::new();
    while !received.windows(4).any(|end| end == b"\r\n\r\n") {
        // A connection of an earlier run has been closed.
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
    *head = received;
    for piece in pieces {
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
}
