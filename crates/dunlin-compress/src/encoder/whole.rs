//! Content that is complete in memory, encoded in one go.

use std::cell::RefCell;

use bytes::Bytes;
use dunlin_http::BoxError;
use dunlin_http::negotiate::Coding;
use libdeflater::{CompressionLvl, Compressor};
use zstd_safe::{CCtx, CParameter};

use super::brotli::{self, Brotli};
use super::zstd::error;
use super::{Op, cost};

/// Encoders whose work costs more than this for a byte, in nanoseconds, are large, and used seldom
/// enough to be made anew.
const KEPT_COST: u64 = 50;

/// Content of at most this many bytes fits, once it is encoded, into what TCP sends before it waits
/// (RFC 6928: ten segments). A few hundredths of its size cost no client any time.
const SHORT: usize = 16 << 10;

/// A thread keeps a buffer of at most this many bytes.
const KEPT_BUFFER: usize = 512 << 10;

thread_local! {
    static TOOLS: RefCell<Tools> = const { RefCell::new(Tools { gzip: Vec::new(), zstd: Vec::new(), buffer: Vec::new() }) };
}

/// What a thread keeps to encode with. There are as many as there are levels in use.
struct Tools {
    gzip: Vec<(u8, Compressor)>,
    zstd: Vec<(u8, CCtx<'static>)>,
    buffer: Vec<u8>,
}

/// How hard to try with a whole content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    coding: Coding,
    /// The encoder's own level: for gzip libdeflate's, from 1 to 12.
    level: u8,
}

/// Encodes `input`. `None` when that does not make it shorter.
pub(crate) fn whole(effort: Effort, input: &[u8]) -> Result<Option<Bytes>, BoxError> {
    TOOLS.with_borrow_mut(|tools| tools.whole(effort, input))
}

// === impl Effort ===

impl Effort {
    /// For `len` bytes that are sent once: the size of zlib's output at that level, give or take
    /// three hundredths, in half of its time or less. Short content, at a level that nobody chose
    /// for its size, gets five hundredths larger in a quarter of the time.
    pub(crate) const fn once(coding: Coding, level: u8, len: usize) -> Self {
        let level = match (coding, level) {
            (Coding::Gzip, 0..=2) => 1,
            (Coding::Gzip, 3..=6) if len <= SHORT => 1,
            (Coding::Gzip, 3..=4) => 2,
            (Coding::Gzip, level) => level - 2,
            (_, level) => level,
        };
        Self { coding, level }
    }

    /// For content that is kept: no larger than zlib's output at that level. At 9, all that
    /// libdeflate has.
    pub(crate) const fn kept(coding: Coding, level: u8) -> Self {
        let level = match (coding, level) {
            (Coding::Gzip, 9) => 12,
            (Coding::Gzip, level) => level + 1,
            (_, level) => level,
        };
        Self { coding, level }
    }

    /// About how long it takes with content of this many bytes, in nanoseconds.
    pub(crate) const fn cost(self, len: usize) -> u64 {
        self.cost_of_byte() * len as u64
    }

    const fn cost_of_byte(self) -> u64 {
        match (self.coding, self.level) {
            (Coding::Gzip, 0..=1) => 5,
            (Coding::Gzip, 2..=4) => 8,
            (Coding::Gzip, 5) => 10,
            (Coding::Gzip, 6) => 12,
            (Coding::Gzip, 7) => 15,
            (Coding::Gzip, 8..=9) => 26,
            (Coding::Gzip, _) => 130,
            (coding, level) => cost(coding, level),
        }
    }
}

// === impl Tools ===

impl Tools {
    fn whole(&mut self, effort: Effort, input: &[u8]) -> Result<Option<Bytes>, BoxError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let len = match effort.coding {
            Coding::Gzip => self.gzip(effort, input, &mut buffer),
            Coding::Zstd => self.zstd(effort, input, &mut buffer)?,
            Coding::Brotli => {
                buffer.clear();
                Brotli::with_size(effort.level, window(input.len()), input.len()).encode(
                    input,
                    Op::Finish,
                    &mut buffer,
                )?;
                Some(buffer.len())
            }
        };
        // A copy gives the memory that is not used back, and costs little beside what came before.
        let encoded = len.filter(|len| *len < input.len()).map(|len| Bytes::copy_from_slice(&buffer[..len]));
        if buffer.capacity() <= KEPT_BUFFER {
            self.buffer = buffer;
        }
        Ok(encoded)
    }

    fn gzip(&mut self, effort: Effort, input: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
        // The encoder gives up when it comes to the end of the buffer: it would not be shorter
        // then.
        if buffer.len() < input.len() {
            buffer.resize(input.len(), 0);
        }
        let buffer = &mut buffer[..input.len()];
        let make = || Ok(Compressor::new(CompressionLvl::new(effort.level.into()).unwrap_or_default()));
        with(&mut self.gzip, effort, make, |gzip| Ok(gzip.gzip_compress(input, buffer).ok())).unwrap_or(None)
    }

    fn zstd(&mut self, effort: Effort, input: &[u8], buffer: &mut Vec<u8>) -> Result<Option<usize>, BoxError> {
        let make = || {
            let mut context = CCtx::try_create().ok_or("no memory for a zstd encoder")?;
            context.set_parameter(CParameter::CompressionLevel(effort.level.into())).map_err(error)?;
            Ok(context)
        };
        buffer.clear();
        buffer.reserve(zstd_safe::compress_bound(input.len()));
        with(&mut self.zstd, effort, make, |context| context.compress2(buffer, input).map(Some).map_err(error))
    }
}

/// Runs `work` with the tool of this level, which is made when there is none and kept when it is
/// cheap.
fn with<T, R>(
    tools: &mut Vec<(u8, T)>,
    effort: Effort,
    make: impl FnOnce() -> Result<T, BoxError>,
    work: impl FnOnce(&mut T) -> Result<R, BoxError>,
) -> Result<R, BoxError> {
    if let Some((_, tool)) = tools.iter_mut().find(|(level, _)| *level == effort.level) {
        return work(tool);
    }
    let mut tool = make()?;
    let done = work(&mut tool)?;
    if effort.cost_of_byte() <= KEPT_COST {
        tools.push((effort.level, tool));
    }
    Ok(done)
}

/// The smallest window that reaches over all of the content; a larger one only costs.
const fn window(len: usize) -> u8 {
    // RFC 7932 §9.1: the window is 16 bytes less than the power of two.
    let log = usize::BITS - (len + 16).leading_zeros();
    match log {
        22.. => 22,
        log if log < brotli::LEAST_WINDOW as u32 => brotli::LEAST_WINDOW,
        log => log as u8,
    }
}
