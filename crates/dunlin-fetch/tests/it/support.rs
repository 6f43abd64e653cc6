//! Scripted origins, and proxies in front of them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_fetch::{Client, Config, Proxy, ProxyConfig};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections are scripted.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Origin {
    /// Calls `script` for each connection, with its number from 0.
    pub(crate) async fn scripted<F, Fut>(script: F) -> Self
    where
        F: Fn(usize, RawConnection) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(number, RawConnection::new(stream)));
            }
        });
        Self { address, connections }
    }

    /// An origin that sends these bytes in response to every request, on connections that stay
    /// open.
    pub(crate) async fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<[u8]> = response.into().into();
        Self::scripted(move |_, mut connection| {
            let response = response.clone();
            async move {
                while connection.head().await.is_some() {
                    connection.send(&response).await;
                }
            }
        })
        .await
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }
}

/// A connection without a protocol: bytes in both directions.
pub(crate) struct RawConnection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl RawConnection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // A script sends responses in pieces, which must not wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The peer may have closed, which is no failure of the test.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads up to and including `end`. `None` if the connection ends before.
    pub(crate) async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                let taken: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return Some(String::from_utf8_lossy(&taken).into_owned());
            }
            if self.fill().await == 0 {
                return None;
            }
        }
    }

    /// Reads the head of a message.
    pub(crate) async fn head(&mut self) -> Option<String> {
        self.until("\r\n\r\n").await
    }

    /// Reads the next `len` bytes, or fewer if the connection ends.
    pub(crate) async fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.buffer.len() < len && self.fill().await > 0 {}
        let len = len.min(self.buffer.len());
        self.buffer.drain(..len).collect()
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await > 0 {}
        std::mem::take(&mut self.buffer)
    }

    async fn fill(&mut self) -> usize {
        self.stream.read_buf(&mut self.buffer).await.unwrap_or(0)
    }
}

pub(crate) fn client(config: Config) -> Client {
    Client::new(config).unwrap()
}

/// A server with a proxy for `upstream`.
pub(crate) async fn proxy_with(client: Client, upstream: &Uri, config: ProxyConfig) -> SocketAddr {
    serve(Proxy::new(client, upstream, config).unwrap()).await
}

/// A server with `proxy`.
pub(crate) async fn serve(proxy: Proxy) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(proxy.clone());
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

/// A server with a proxy for `origin`.
pub(crate) async fn proxy(origin: &Origin) -> SocketAddr {
    proxy_with(client(Config::default()), &origin.uri("/"), ProxyConfig::default()).await
}

/// Sends one request over a new connection, and reads to its end.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut connection = RawConnection::connect(address).await;
    connection.send(request).await;
    String::from_utf8_lossy(&connection.rest().await).into_owned()
}

/// Sends a GET as [`exchange`] does.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: front\r\nconnection: close\r\n\r\n")).await
}

/// An origin that responds to each request with the request's head as the body.
pub(crate) async fn echo() -> Origin {
    Origin::scripted(|_, mut connection| async move {
        while let Some(head) = connection.head().await {
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len())).await;
        }
    })
    .await
}

/// The field lines of a message's head in alphabetical order, without `Date`.
pub(crate) fn lines(head: &str) -> Vec<&str> {
    let head = head.split("\r\n\r\n").next().unwrap();
    let mut lines: Vec<_> = head.split("\r\n").skip(1).filter(|line| !line.starts_with("date: ")).collect();
    // A stable sort: lines of one name keep their order.
    lines.sort_by_key(|line| line.split(':').next());
    lines
}

/// The bytes after the head.
pub(crate) fn content(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().1
}
