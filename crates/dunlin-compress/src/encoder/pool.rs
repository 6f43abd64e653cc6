//! [`Encoder`]: a reusable encoder. Each thread keeps a few idle ones.

use std::cell::RefCell;

use dunlin_http::BoxError;
use dunlin_http::negotiate::Coding;

use super::{BUDGET, Codec, Op, Spec, cost};

/// The limit of idle encoders per thread. One takes 300 KiB to 1.5 MiB.
const MAX_IDLE: usize = 8;

thread_local! {
    static IDLE: RefCell<Vec<(Spec, Codec)>> = const { RefCell::new(Vec::new()) };
}

/// The encoder of a stream. On drop it becomes an idle encoder of the current thread.
pub(crate) struct Encoder {
    spec: Spec,
    codec: Option<Codec>,
    /// The number of bytes that it has collected but not encoded.
    buffered: usize,
}

// === impl Encoder ===

impl Encoder {
    /// Takes an idle encoder of this thread, or makes a new one.
    pub(crate) fn take(spec: Spec) -> Result<Self, BoxError> {
        let idle = IDLE.with_borrow_mut(|idle| {
            let at = idle.iter().rposition(|(other, _)| *other == spec)?;
            Some(idle.swap_remove(at).1)
        });
        let codec = idle.map_or_else(|| Codec::new(spec), Ok)?;
        Ok(Self { spec, codec: Some(codec), buffered: 0 })
    }

    /// Encodes all of `input`, does `op`, and appends the output to `out`. After an error, all
    /// calls fail.
    pub(crate) fn encode(&mut self, input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let Some(codec) = &mut self.codec else { return Err("the encoder failed before".into()) };
        self.buffered = match (op, self.spec.block()) {
            (Op::Process, Some(block)) => (self.buffered + input.len()) % block,
            _ => 0,
        };
        let result = codec.encode(input, op, out);
        if result.is_err() {
            self.codec = None;
        }
        result
    }

    /// The estimated time of [`Encoder::encode`], in nanoseconds.
    pub(crate) const fn cost(&self, input: usize, op: Op) -> u64 {
        let bytes = match (op, self.spec.block()) {
            // Until a block is full, its bytes are only copied.
            (Op::Process, Some(block)) if self.buffered + input < block => input / 16,
            (_, Some(_)) => self.buffered + input,
            (_, None) => input,
        };
        cost(self.spec.coding, self.spec.level) * bytes as u64
    }
}

// === impl Spec ===

impl Spec {
    /// The size of a slice of input, in bytes. The event loop can encode it within the budget, or
    /// it is large enough to be worth sending to a thread.
    pub(crate) const fn slice(self) -> usize {
        match self.block() {
            Some(_) => 64 << 10,
            None => self.affordable(),
        }
    }

    /// The size of a slice if there are no threads, and the operation after each. If a block
    /// exceeds the budget, the encoder is flushed before it is full.
    pub(crate) const fn slice_without_workers(self) -> (usize, Op) {
        let slice = self.affordable();
        match self.block() {
            Some(block) if slice < block => (slice, Op::Flush),
            _ => (slice, Op::Process),
        }
    }

    /// The number of bytes that can be encoded in [`BUDGET`], from 4 to 64 KiB.
    const fn affordable(self) -> usize {
        let slice = (BUDGET / cost(self.coding, self.level)) as usize;
        if slice > 64 << 10 {
            64 << 10
        } else if slice < 4 << 10 {
            4 << 10
        } else {
            slice
        }
    }

    /// The number of bytes that the encoder collects before it encodes them, if it does so.
    const fn block(self) -> Option<usize> {
        match self.coding {
            Coding::Gzip => None,
            Coding::Brotli => Some(64 << 10),
            Coding::Zstd => Some(self.window.size_up_to(128 << 10)),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let Some(mut codec) = self.codec.take() else { return };
        if codec.reset() {
            // It fails while the thread ends. Then the encoder is dropped.
            let _ = IDLE.try_with(|idle| {
                let mut idle = idle.borrow_mut();
                if idle.len() < MAX_IDLE {
                    idle.push((self.spec, codec));
                }
            });
        }
    }
}
