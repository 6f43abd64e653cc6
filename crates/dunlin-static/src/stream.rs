//! [`Stream`]: a body that is read from the disk while it is sent.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use http_body::{Frame, SizeHint};

use crate::buffer::Buffer;
use crate::pool::Pool;
use crate::stamp::Stamp;

/// An open file, and its stamp from when the header of the response was made.
#[derive(Clone)]
pub(crate) struct FileSource {
    open: Arc<Open>,
    pool: Pool,
}

/// A file that is being sent.
struct Open {
    file: File,
    stamp: Stamp,
    /// The two ends of the expected content, read with the first chunk.
    ends: OnceLock<Ends>,
}

/// The first and the last bytes of the expected content.
///
/// A file that has only grown still has both. One that was rewritten, and is longer now, has not.
#[derive(Debug, PartialEq)]
struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
}

/// The length of each of the two ends, in bytes.
const END_LEN: u64 = 4096;

/// A part of a body: bytes, or a range of a file.
pub(crate) enum Piece {
    Bytes(Bytes),
    File(FileSource, Range<u64>),
}

/// A body in pieces. The pieces of a file are read while they are sent.
///
/// Bytes in the page cache are copied on the loop. The pool reads all others, a chunk at a time.
/// Before a chunk is sent, the file's stamp is compared with that of the header. The file may have
/// grown, as a log does. If it was rewritten or truncated, the body fails and the connection ends.
/// So no client takes a mixture of versions, or a part, for the file.
pub(crate) struct Stream {
    pieces: VecDeque<Piece>,
    /// The number of bytes that are not sent yet.
    left: u64,
    /// The read of a chunk in the pool.
    reading: Option<Reading>,
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

// === impl Piece ===

impl Piece {
    pub(crate) const fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, range) => range.end - range.start,
        }
    }
}

// === impl Stream ===

impl Stream {
    pub(crate) fn body(pieces: Vec<Piece>) -> Body {
        let left = pieces.iter().map(Piece::len).sum();
        Body::new(Self { pieces: pieces.into(), left, reading: None })
    }

    /// The next bytes, or `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(reading) = &mut self.reading {
            let read = ready!(reading.as_mut().poll(cx));
            self.reading = None;
            return Poll::Ready(Some(read.map(|bytes| self.advance(bytes))));
        }
        let (file, range) = match self.pieces.front_mut() {
            None => return Poll::Ready(None),
            Some(Piece::Bytes(bytes)) => {
                let bytes = std::mem::take(bytes);
                self.pieces.pop_front();
                self.left -= bytes.len() as u64;
                return Poll::Ready(Some(Ok(bytes)));
            }
            Some(Piece::File(file, range)) => (file, range),
        };
        match file.read_cached(range) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.reading = Some(file.read_in_pool(range.clone()));
                self.poll_next(cx)
            }
            read => Poll::Ready(Some(read.map(|bytes| self.advance(bytes)))),
        }
    }

    /// Removes bytes that were read from the first piece.
    fn advance(&mut self, bytes: Bytes) -> Bytes {
        self.left -= bytes.len() as u64;
        if let Some(Piece::File(_, range)) = self.pieces.front_mut() {
            range.start += bytes.len() as u64;
            if range.is_empty() {
                self.pieces.pop_front();
            }
        }
        bytes
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        if let Some(Err(error)) = &next {
            tracing::warn!(%error, left = this.left, "a file could not be sent to its end: closing the connection");
            this.pieces.clear();
        }
        Poll::Ready(next.map(|read| read.map(Frame::data).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

// === impl FileSource ===

impl FileSource {
    pub(crate) fn new(file: File, stamp: Stamp, pool: Pool) -> Self {
        Self { open: Arc::new(Open { file, stamp, ends: OnceLock::new() }), pool }
    }

    /// Reads bytes that are in the page cache. Fails with `WouldBlock` if there are none.
    fn read_cached(&self, range: &Range<u64>) -> io::Result<Bytes> {
        self.open.read(range, read_cached)
    }

    fn read_in_pool(&self, range: Range<u64>) -> Reading {
        let (open, pool) = (Arc::clone(&self.open), self.pool.clone());
        Box::pin(async move { pool.disk(move || open.read(&range, |file, buffer, at| file.read_at(buffer, at))).await })
    }
}

// === impl Open ===

/// A way to read at an offset.
type ReadAt = fn(&File, &mut [u8], u64) -> io::Result<usize>;

impl Open {
    /// Reads a chunk. Then it checks that the file still has the expected content.
    fn read(&self, range: &Range<u64>, read_at: ReadAt) -> io::Result<Bytes> {
        let mut buffer = Buffer::take();
        let want = buffer.len_for(range);
        let read = read_at(&self.file, &mut buffer.bytes()[..want], range.start)?;
        let now = Stamp::of(&self.file.metadata()?);
        let is_same = self.stamp.same_content(&now);
        if read == 0 || !(is_same || self.stamp.has_grown(&now)) {
            return Err(changed());
        }
        match self.ends.get() {
            None => drop(self.ends.set(self.read_ends(read_at)?)),
            Some(_) if is_same => {}
            Some(ends) if *ends == self.read_ends(read_at)? => {}
            Some(_) => return Err(changed()),
        }
        Ok(buffer.freeze(read))
    }

    fn read_ends(&self, read_at: ReadAt) -> io::Result<Ends> {
        let length = self.stamp.len.min(END_LEN);
        let read = |at| {
            let mut bytes = vec![0; length as usize];
            let read = read_at(&self.file, &mut bytes, at)?;
            bytes.truncate(read);
            io::Result::Ok(bytes)
        };
        Ok(Ends { first: read(0)?, last: read(self.stamp.len - length)? })
    }
}

fn changed() -> io::Error {
    io::Error::other("the file changed while it was sent")
}

#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    match preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
        // The file system or the kernel does not support the flag.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::INTR) => Err(would_block()),
        read => Ok(read?),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(would_block())
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn source(len: usize) -> (FileSource, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|n| (n / 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        (FileSource::new(file, stamp, Pool::new()), bytes)
    }

    #[tokio::test]
    async fn the_loop_and_the_pool_read_the_same() {
        let (source, bytes) = source(600_000);
        for range in [0..10u64, 5..600_000, 599_999..600_000, 262_140..262_150] {
            let expect = &bytes[range.start as usize..range.end as usize];
            let expect = &expect[..expect.len().min(crate::buffer::CHUNK)];
            assert!(source.read_in_pool(range.clone()).await.unwrap() == expect, "{range:?}");
            match source.read_cached(&range) {
                Ok(read) => assert!(!read.is_empty() && expect.starts_with(&read), "{range:?}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{range:?}"),
            }
        }
        source.open.file.set_len(5).unwrap();
        assert!(source.read_in_pool(0..10).await.is_err());
        assert!(source.read_cached(&(0..10)).is_err());
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_size_is_exact() {
        let (source, bytes) = source(300_000);
        let body = Stream::body(vec![
            Piece::Bytes("head".into()),
            Piece::File(source.clone(), 3..280_000),
            Piece::Bytes("tail".into()),
            Piece::File(source, 0..1),
        ]);
        assert_eq!(body.len(), Some(4 + 279_997 + 4 + 1));
        let expect = [&b"head"[..], &bytes[3..280_000], b"tail", &bytes[..1]].concat();
        assert!(body.collect(usize::MAX).await.unwrap() == expect);
    }
}
