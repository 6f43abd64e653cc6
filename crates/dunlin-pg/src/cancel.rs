//! Cancelling what a connection is doing, through a pooler that must not be hurried.
//!
//! Who asks PgBouncer to cancel something and goes away before that is done ends it: 1.18 with a
//! fatal error, each time that it is the quicker of the two (pgbouncer#801). So the asker waits
//! until the pooler has closed the connection, as libpq does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A stream whose end is the other side's: to shut it down is to wait for that.
struct Patient(Pin<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// Asks each host, for which one the connection leads to is not told. Those that do not know it do
/// nothing.
pub(crate) async fn through_pooler(token: &CancelToken, hosts: &[Config], tls: &MakeRustlsConnect) {
    for host in hosts {
        let name = if let Some(Host::Tcp(name)) = host.get_hosts().first() { name } else { "" };
        let tls = MakeTlsConnect::<Patient>::make_tls_connect(&mut tls.clone(), name);
        // One that fails has nobody to tell: the statement's own timeout ends it.
        if let (Ok(stream), Ok(tls)) = (open(host).await, tls) {
            let _ = token.cancel_query_raw(Patient(stream), tls).await;
        }
    }
}

async fn open(host: &Config) -> io::Result<Pin<Box<dyn Stream>>> {
    let port = host.get_ports().first().copied().unwrap_or(5432);
    // libpq: the address is where it is, whatever its name.
    Ok(match (host.get_hostaddrs().first(), host.get_hosts().first()) {
        (Some(addr), _) => Box::pin(TcpStream::connect((*addr, port)).await?),
        (None, Some(Host::Tcp(name))) => Box::pin(TcpStream::connect((name.as_str(), port)).await?),
        (None, Some(Host::Unix(folder))) => {
            Box::pin(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?)
        }
        (None, None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
    })
}

// === impl Patient ===

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, out)
    }
}

impl AsyncWrite for Patient {
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
