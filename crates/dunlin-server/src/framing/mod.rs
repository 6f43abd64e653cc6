//! Where one request ends and the next begins, by RFC 9112 and nothing else.
//!
//! [`Framer`] reads what comes from the socket before hyper does, and lets through only what has one meaning: complete
//! heads that are checked, and bodies of which every byte of framing is. It is pure: bytes in, a verdict out.
//!
//! hyper parses what is let through once more. It is more lenient in places (it takes bare LF, both lengths, any
//! Host), and what it does not take it answers in its own way.

mod chunked;
mod frames;
mod head;
mod host;
#[cfg(test)]
mod tests;

use http::StatusCode;

use chunked::Chunked;
pub(crate) use frames::FrameMeter;
pub(crate) use host::is_host;

/// What a head may be at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
    pub(crate) target: usize,
}

/// Tells requests apart in a stream of bytes.
#[derive(Debug)]
pub(crate) struct Framer {
    next: Next,
    limits: HeadLimits,
    /// Heads that were let through on this connection.
    heads: u64,
    /// Whether the request under way asks for an upgrade.
    upgrade: bool,
    /// Whether any head had an `Expect` field.
    expects: bool,
    /// Where the next head names a later minor version than ours.
    later_minor: Option<usize>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// The answer to a request for an upgrade decides what the bytes are.
    Undecided,
}

/// How the length of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// A request that is not to be processed, and the status that says so. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) status: StatusCode,
    pub(crate) detail: &'static str,
}

/// What [`Framer::scan`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// So many bytes may be let through.
    pub(crate) passed: usize,
    /// Why the rest may not, ever. Without it the rest waits for more bytes to come.
    pub(crate) reject: Option<Reject>,
}

// === impl Framer ===

impl Framer {
    /// `heads` were let through on this connection before.
    pub(crate) const fn new(limits: HeadLimits, heads: u64) -> Self {
        Self { next: Next::Head, limits, heads, upgrade: false, expects: false, later_minor: None }
    }

    /// Reads on. `bytes` begins where the last scan stopped letting through; the first `seen` of them were there then.
    pub(crate) fn scan(&mut self, bytes: &[u8], seen: usize) -> Scan {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let step = match &mut self.next {
                Next::Head if seen > at && memchr::memchr(b'\n', &bytes[seen..]).is_none() => {
                    head::partial(rest, &self.limits)
                }
                Next::Head => self.head(rest),
                Next::Length(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= n as u64;
                    if *left == 0 {
                        self.end_message();
                    }
                    Ok(n)
                }
                Next::Chunked(chunked) => match chunked.advance(rest, &self.limits) {
                    Ok((n, ended)) => {
                        if ended {
                            self.end_message();
                        }
                        Ok(n)
                    }
                    Err(reject) => Err(reject),
                },
                Next::Undecided => Ok(0),
            };
            match step {
                Ok(0) => break,
                Ok(n) => at += n,
                Err(reject) => return Scan { passed: at, reject: Some(reject) },
            }
        }
        Scan { passed: at, reject: None }
    }

    /// Where the digit of a minor version stands, counted from the last byte that was let through, that is to become a
    /// 1 before the head is read: hyper's parser takes 0 and 1 alone.
    pub(crate) const fn take_later_minor(&mut self) -> Option<usize> {
        self.later_minor.take()
    }

    pub(crate) const fn is_later_minor(&self) -> bool {
        self.later_minor.is_some()
    }

    /// Whether the next byte belongs to a body.
    pub(crate) const fn in_body(&self) -> bool {
        matches!(self.next, Next::Length(_) | Next::Chunked(_))
    }

    /// How many heads were let through.
    pub(crate) const fn heads(&self) -> u64 {
        self.heads
    }

    pub(crate) const fn expects(&self) -> bool {
        self.expects
    }

    /// Whether what follows depends on the answer to a request for an upgrade.
    pub(crate) const fn is_undecided(&self) -> bool {
        matches!(self.next, Next::Undecided)
    }

    /// The upgrade was declined: HTTP goes on.
    pub(crate) const fn decline_upgrade(&mut self) {
        self.upgrade = false;
        self.next = Next::Head;
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Reject> {
        let head = match head::parse(bytes, &self.limits) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(0),
            Err(reject) => {
                self.later_minor = head::later_minor(bytes, reject);
                return if self.later_minor.is_some() { Ok(0) } else { Err(reject) };
            }
        };
        self.heads += 1;
        self.upgrade = head.upgrade;
        self.expects |= head.expects;
        match head.framing {
            Framing::Length(0) => self.end_message(),
            Framing::Length(length) => self.next = Next::Length(length),
            Framing::Chunked => self.next = Next::Chunked(Chunked::new()),
        }
        Ok(head.len)
    }

    const fn end_message(&mut self) {
        self.next = if self.upgrade { Next::Undecided } else { Next::Head };
    }
}

// === impl Reject ===

impl Reject {
    pub(crate) const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail }
    }

    /// 400 (RFC 9110 §15.5.1).
    pub(crate) const fn bad(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}
