//! Cancellation through a pooler.
//!
//! A client that asks PgBouncer to cancel a statement must not close its connection before the
//! pooler does. PgBouncer 1.18 ends with a fatal error if the client is faster (pgbouncer#801). So
//! this waits for the pooler, as libpq does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A stream whose shutdown waits until the other side has closed it.
struct WaitingStream(Pin<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// Asks each host, because it is unknown which of them has the connection. The others do nothing.
pub(crate) async fn through_pooler(token: &CancelToken, hosts: &[Config], tls: &MakeRustlsConnect) {
    for host in hosts {
        let name = if let Some(Host::Tcp(name)) = host.get_hosts().first() { name } else { "" };
        let tls = MakeTlsConnect::<WaitingStream>::make_tls_connect(&mut tls.clone(), name);
        // If it fails, the statement's own timeout ends it.
        if let (Ok(stream), Ok(tls)) = (open(host).await, tls) {
            let _ = token.cancel_query_raw(WaitingStream(stream), tls).await;
        }
    }
}

async fn open(host: &Config) -> io::Result<Pin<Box<dyn Stream>>> {
    let port = host.get_ports().first().copied().unwrap_or(5432);
    // As in libpq, the address has precedence over the name.
    Ok(match (host.get_hostaddrs().first(), host.get_hosts().first()) {
        (Some(addr), _) => Box::pin(TcpStream::connect((*addr, port)).await?),
        (None, Some(Host::Tcp(name))) => Box::pin(TcpStream::connect((name.as_str(), port)).await?),
        (None, Some(Host::Unix(folder))) => {
            Box::pin(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?)
        }
        (None, None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
    })
}

// === impl WaitingStream ===

impl AsyncRead for WaitingStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, out)
    }
}

impl AsyncWrite for WaitingStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; 64];
            let mut out = ReadBuf::new(&mut bytes);
            ready!(self.0.as_mut().poll_read(cx, &mut out))?;
            if out.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
