//! The chunked transfer coding (RFC 9112 §7.1), byte for byte.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{HeadLimits, Reject};

/// The position of the next byte in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In a chunk's size, behind this number of digits.
    Size { size: u64, digits: u8 },
    /// In white space before a chunk's extension.
    Space { size: u64, line: u16 },
    /// In a chunk's extensions; `named` if one has begun after the last semicolon.
    Extension { size: u64, line: u16, named: bool },
    /// At the LF of a chunk's first line.
    SizeLf { size: u64 },
    /// In a chunk's data.
    Data { left: u64 },
    /// At the CR after a chunk's data.
    DataCr,
    /// At the LF after a chunk's data.
    DataLf,
    /// In the trailer section.
    Trailers,
}

/// The meaning of the next bytes.
#[derive(Debug)]
pub(super) enum Part {
    /// This number of bytes is framing.
    Framing(usize),
    /// This number of bytes is data.
    Data(usize),
    /// The trailer section has this length, and ends the body.
    End(Option<HeaderMap>, usize),
    /// There are too few bytes to decide.
    More,
}

/// RFC 9112 §7.1.1: "A server ought to limit the total length of chunk extensions".
const MAX_LINE: u16 = 1024;

// === impl Chunked ===

impl Chunked {
    pub(super) const fn new() -> Self {
        Self::Size { size: 0, digits: 0 }
    }

    /// Reads the meaning of the next bytes.
    pub(super) fn next(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Part, Reject> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match *self {
                Self::Data { .. } | Self::Trailers if at > 0 => return Ok(Part::Framing(at)),
                Self::Data { left } => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - n as u64;
                    *self = if left == 0 { Self::DataCr } else { Self::Data { left } };
                    return Ok(Part::Data(n));
                }
                Self::Trailers => {
                    let trailers = trailers(bytes, limits)?;
                    return Ok(trailers.map_or(Part::More, |(trailers, n)| Part::End(trailers, n)));
                }
                _ => *self = self.step(byte)?,
            }
            at += 1;
        }
        Ok(if at == 0 { Part::More } else { Part::Framing(at) })
    }

    fn step(self, byte: u8) -> Result<Self, Reject> {
        const BAD_SIZE: Reject = Reject::bad("a chunk's size is malformed");
        const BAD_EXTENSION: Reject = Reject::bad("a chunk's extension is malformed");
        const BAD_END: Reject = Reject::bad("a chunk is not as long as it says");
        Ok(match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(BAD_SIZE);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(BAD_SIZE),
            (Self::Size { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Size { size, .. }, b';') => Self::Extension { size, line: 0, named: false },
            (Self::Size { size, .. }, b' ' | b'\t') => Self::Space { size, line: 0 },
            (Self::Size { .. }, _) => return Err(BAD_SIZE),
            (Self::Space { line: MAX_LINE, .. } | Self::Extension { line: MAX_LINE, .. }, _) => {
                return Err(BAD_EXTENSION);
            }
            (Self::Space { size, line }, b' ' | b'\t') => Self::Space { size, line: line + 1 },
            // RFC 9112 §7.1.1: white space stands before a semicolon, or not at all.
            (Self::Space { size, line }, b';') => Self::Extension { size, line, named: false },
            (Self::Extension { named: false, .. }, b';') => return Err(BAD_EXTENSION),
            (Self::Extension { size, named: true, .. }, b'\r') => Self::SizeLf { size },
            (Self::Extension { size, line, named }, b' ' | b'\t') => Self::Extension { size, line: line + 1, named },
            (Self::Extension { size, line, named: true }, b';') => {
                Self::Extension { size, line: line + 1, named: false }
            }
            (Self::Extension { size, line, .. }, 0x21..=0x7e | 0x80..) => {
                Self::Extension { size, line: line + 1, named: true }
            }
            (Self::Space { .. } | Self::Extension { .. }, _) => return Err(BAD_EXTENSION),
            (Self::SizeLf { size: 0 }, b'\n') => Self::Trailers,
            (Self::SizeLf { size }, b'\n') => Self::Data { left: size },
            (Self::SizeLf { .. }, _) => return Err(BAD_SIZE),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::new(),
            (Self::DataCr | Self::DataLf, _) => return Err(BAD_END),
            (Self::Data { .. } | Self::Trailers, _) => self,
        })
    }
}

/// Reads a trailer section. Returns `None` if it is not complete, and its length with the last CRLF
/// otherwise.
fn trailers(bytes: &[u8], limits: &HeadLimits) -> Result<Option<(Option<HeaderMap>, usize)>, Reject> {
    const BAD: Reject = Reject::bad("the trailer section is malformed");
    if bytes.starts_with(b"\r\n") {
        return Ok(Some((None, 2)));
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) if super::head::only_crlf(&bytes[..len]) => {
            let mut map = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BAD)?;
                map.append(name, HeaderValue::from_bytes(field.value).map_err(|_| BAD)?);
            }
            Ok(Some((Some(map), len)))
        }
        Ok(httparse::Status::Partial) if bytes.len() <= limits.bytes => Ok(None),
        _ => Err(BAD),
    }
}
