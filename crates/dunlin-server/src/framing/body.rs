//! The body of a request, piece by piece (RFC 9112 §6 and §7).

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::chunked::{Chunked, Part};
use super::{HeadLimits, Reject};

/// The position of the next byte in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This number of bytes is left.
    Length(u64),
    Chunked(Chunked),
}

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    /// The body is complete, with its trailer fields, if it has any.
    End(Option<HeaderMap>),
}

// === impl Body ===

impl Body {
    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunked::new())
    }

    /// Takes the next piece off `held`.
    pub(super) fn next(&mut self, held: &mut BytesMut, limits: &HeadLimits) -> Result<Option<Piece>, Reject> {
        match self {
            Self::Length(0) => Ok(Some(Piece::End(None))),
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(held.len());
                *left -= n as u64;
                Ok((n > 0).then(|| Piece::Data(held.split_to(n).freeze())))
            }
            Self::Chunked(chunked) => loop {
                match chunked.next(held, limits)? {
                    Part::More => return Ok(None),
                    Part::Framing(n) => held.advance(n),
                    Part::Data(n) => return Ok(Some(Piece::Data(held.split_to(n).freeze()))),
                    Part::End(trailers, n) => {
                        held.advance(n);
                        return Ok(Some(Piece::End(trailers)));
                    }
                }
            },
        }
    }
}
