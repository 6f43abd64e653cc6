//! Encoders that are used again: each thread keeps a few.

use std::cell::RefCell;

use dunlin_http::BoxError;

use super::{Codec, Op, Spec};

/// The most idle encoders that a thread keeps. One takes some 300 KiB to 1.5 MiB.
const KEPT: usize = 8;

thread_local! {
    static IDLE: RefCell<Vec<(Spec, Codec)>> = const { RefCell::new(Vec::new()) };
}

/// A stream's encoder. It goes back to the thread that drops it.
pub(crate) struct Encoder {
    spec: Spec,
    codec: Option<Codec>,
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
        Ok(Self { spec, codec: Some(codec) })
    }

    /// Encodes all of `input` and does `op`; what comes out is appended to `out`. Not to be used after an error.
    pub(crate) fn encode(&mut self, input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let Some(codec) = &mut self.codec else { return Err("the encoder failed before".into()) };
        let done = codec.encode(input, op, out);
        if done.is_err() {
            self.codec = None;
        }
        done
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
