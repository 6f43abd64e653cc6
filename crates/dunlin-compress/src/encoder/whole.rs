//! Content that is complete in memory, encoded in one go.

use std::cell::RefCell;

use bytes::Bytes;
use dunlin_http::BoxError;
use dunlin_http::negotiate::Coding;
use libdeflater::{CompressionLvl, Compressor};
use zstd_safe::{CCtx, CParameter};

use super::brotli::Brotli;
use super::zstd::error;
use super::{Op, cost};

/// Encoders whose work costs more than this for a byte, in nanoseconds, are large, and used seldom enough to be made anew.
const KEPT_COST: u64 = 50;

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

/// Encodes `input`. `None` when that does not make it shorter.
pub(crate) fn whole(coding: Coding, level: u8, input: &[u8]) -> Result<Option<Bytes>, BoxError> {
    TOOLS.with_borrow_mut(|tools| tools.whole(coding, level, input))
}

// === impl Tools ===

impl Tools {
    fn whole(&mut self, coding: Coding, level: u8, input: &[u8]) -> Result<Option<Bytes>, BoxError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let len = match coding {
            Coding::Gzip => self.gzip(level, input, &mut buffer),
            Coding::Zstd => self.zstd(level, input, &mut buffer)?,
            Coding::Brotli => {
                buffer.clear();
                Brotli::with_size(level, window(input.len()), input.len()).encode(input, Op::Finish, &mut buffer)?;
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

    fn gzip(&mut self, level: u8, input: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
        let level = gzip_level(level);
        // The encoder gives up when it comes to the end of the buffer: it would not be shorter then.
        if buffer.len() < input.len() {
            buffer.resize(input.len(), 0);
        }
        let buffer = &mut buffer[..input.len()];
        with(
            &mut self.gzip,
            level,
            cost(Coding::Gzip, level),
            || Ok(Compressor::new(level_of(level))),
            |gzip| Ok(gzip.gzip_compress(input, buffer).ok()),
        )
        .unwrap_or(None)
    }

    fn zstd(&mut self, level: u8, input: &[u8], buffer: &mut Vec<u8>) -> Result<Option<usize>, BoxError> {
        let make = || {
            let mut context = CCtx::try_create().ok_or("no memory for a zstd encoder")?;
            context.set_parameter(CParameter::CompressionLevel(level.into())).map_err(error)?;
            Ok(context)
        };
        buffer.clear();
        buffer.reserve(zstd_safe::compress_bound(input.len()));
        with(&mut self.zstd, level, cost(Coding::Zstd, level), make, |context| {
            context.compress2(buffer, input).map(Some).map_err(error)
        })
    }
}

/// Runs `work` with the tool of this level, which is made when there is none and kept when it is cheap.
fn with<T, R>(
    tools: &mut Vec<(u8, T)>,
    level: u8,
    cost: u64,
    make: impl FnOnce() -> Result<T, BoxError>,
    work: impl FnOnce(&mut T) -> Result<R, BoxError>,
) -> Result<R, BoxError> {
    if let Some((_, tool)) = tools.iter_mut().find(|(of, _)| *of == level) {
        return work(tool);
    }
    let mut tool = make()?;
    let done = work(&mut tool)?;
    if cost <= KEPT_COST {
        tools.push((level, tool));
    }
    Ok(done)
}

/// libdeflate's level that does about what zlib's does, in less time.
const fn gzip_level(level: u8) -> u8 {
    match level {
        9.. => 12,
        level => level,
    }
}

fn level_of(level: u8) -> CompressionLvl {
    CompressionLvl::new(level.into()).unwrap_or_default()
}

/// The smallest window that reaches over all of the content; a larger one only costs.
const fn window(len: usize) -> u8 {
    // RFC 7932 §9.1: the window is 16 bytes less than the power of two.
    let log = usize::BITS - (len + 16).leading_zeros();
    match log {
        0..=16 => 16,
        22.. => 22,
        log => log as u8,
    }
}
