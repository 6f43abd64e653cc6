//! Encoders that are used again: each thread keeps a few.

use std::cell::RefCell;

use dunlin_http::BoxError;
use dunlin_http::negotiate::Coding;

use super::{BUDGET, Codec, Op, Spec, cost};

/// The most idle encoders that a thread keeps. One takes some 300 KiB to 1.5 MiB.
const KEPT: usize = 8;

thread_local! {
    static IDLE: RefCell<Vec<(Spec, Codec)>> = const { RefCell::new(Vec::new()) };
}

/// A stream's encoder. It goes back to the thread that drops it.
pub(crate) struct Encoder {
    spec: Spec,
    codec: Option<Codec>,
    /// How many bytes it has taken in without doing its work on them.
    inside: usize,
}

// === impl Encoder ===

impl Encoder {
    /// One of this thread's, or else a new one.
    pub(crate) fn take(spec: Spec) -> Result<Self, BoxError> {
        let idle = IDLE.with_borrow_mut(|idle| {
            let at = idle.iter().rposition(|(kept, _)| *kept == spec)?;
            Some(idle.swap_remove(at).1)
        });
        let codec = idle.map_or_else(|| Codec::new(spec), Ok)?;
        Ok(Self { spec, codec: Some(codec), inside: 0 })
    }

    /// Encodes all of `input` and does `op`; what comes out is appended to `out`. Not to be used
    /// after an error.
    pub(crate) fn encode(&mut self, input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let Some(codec) = &mut self.codec else { return Err("the encoder failed before".into()) };
        self.inside = match (op, self.spec.block()) {
            (Op::Process, Some(block)) => (self.inside + input.len()) % block,
            _ => 0,
        };
        let done = codec.encode(input, op, out);
        if done.is_err() {
            self.codec = None;
        }
        done
    }

    /// About how long [`Encoder::encode`] will take, in nanoseconds.
    pub(crate) const fn cost(&self, input: usize, op: Op) -> u64 {
        let bytes = match (op, self.spec.block()) {
            // Until a block is full it is only copied.
            (Op::Process, Some(block)) if self.inside + input < block => input / 16,
            (_, Some(_)) => self.inside + input,
            (_, None) => input,
        };
        cost(self.spec.coding, self.spec.level) * bytes as u64
    }
}

// === impl Spec ===

impl Spec {
    /// The most input to take at once, in bytes, so that the event loop is let go in time; or so
    /// much that giving it to another thread is worth its while.
    pub(crate) const fn slice(self) -> usize {
        match self.block() {
            Some(_) => 64 << 10,
            None => self.affordable(),
        }
    }

    /// The same where there is no other thread, and what to do after so much: an encoder that would
    /// collect more than can be afforded at once is made to do its work before.
    pub(crate) const fn slice_alone(self) -> (usize, Op) {
        let slice = self.affordable();
        match self.block() {
            Some(block) if slice < block => (slice, Op::Flush),
            _ => (slice, Op::Process),
        }
    }

    /// How much can be encoded in [`BUDGET`], in bytes, within reason.
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

    /// How many bytes the encoder collects before it does its work, if it does so.
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
            // When the thread is ending there is nothing to keep it in.
            let _ = IDLE.try_with(|idle| {
                let mut idle = idle.borrow_mut();
                if idle.len() < KEPT {
                    idle.push((self.spec, codec));
                }
            });
        }
    }
}
