//! [`Transport`]: the socket of a connection, of any kind.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use dunlin_http::Mapped;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::sendfile;
use crate::listen::Accepted;
use crate::tls::TlsFacts;

/// The socket of a connection, of any kind.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Transport ===

impl Transport {
    /// The facts about TLS; `None` on a plain connection.
    pub(super) fn tls_facts(&self) -> Option<TlsFacts> {
        match self {
            Self::Tls(stream) => Some(TlsFacts::of(stream)),
            _ => None,
        }
    }

    /// Polls until there may be bytes, the end, or an error to read.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(cx),
            Self::Unix(socket) => socket.poll_read_ready(cx),
            Self::Tls(stream) => stream.get_ref().0.poll_read_ready(cx),
        }
    }
}

impl From<Accepted> for Transport {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Tcp(socket, _) => Self::Tcp(socket),
            Accepted::Unix(socket) => Self::Unix(socket),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

/// The largest output that is copied into one `send`: for so few bytes, `writev` costs the kernel
/// more than the copy.
const GATHER: usize = 2048;

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bufs.len() > 1 && bufs.iter().map(|buf| buf.len()).sum::<usize>() <= GATHER {
            return Pin::new(this).poll_gathered(cx, bufs);
        }
        match this {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Transport {
    /// Writes at most `limit` bytes. The kernel sends slices in `mapping` from the file, if it can.
    pub(crate) fn poll_send(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        mapping: Option<&dyn Mapped>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(mapping) = mapping {
            let sent = match &*self {
                Self::Tcp(socket) => sendfile::poll_send(socket, cx, bufs, mapping, limit),
                Self::Unix(socket) => sendfile::poll_send(socket, cx, bufs, mapping, limit),
                Self::Tls(_) => None,
            };
            if let Some(sent) = sent {
                return sent;
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = mapping;
        let mut left = limit;
        for (index, buf) in bufs.iter().enumerate() {
            if buf.len() > left {
                let mut cut = SmallVec::<[IoSlice<'_>; 8]>::new();
                cut.extend(bufs[..index].iter().map(|buf| IoSlice::new(buf)));
                cut.push(IoSlice::new(&buf[..left]));
                return self.poll_write_vectored(cx, &cut);
            }
            left -= buf.len();
        }
        self.poll_write_vectored(cx, bufs)
    }

    fn poll_gathered(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut gathered = SmallVec::<[u8; GATHER]>::new();
        for buf in bufs {
            gathered.extend_from_slice(buf);
        }
        self.poll_write(cx, &gathered)
    }
}
