//! The brotli encoder, for streams and for whole contents.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use dunlin_http::BoxError;

use super::Op;

/// The smallest window that is used, as a power of two. With smaller ones, at levels from 5 on, the
/// encoder chooses a hasher that is fifty times slower.
pub(super) const MIN_WINDOW_LOG: u8 = 17;

pub(super) struct Brotli(BrotliEncoderStateStruct<StandardAlloc>);

// === impl Brotli ===

impl Brotli {
    pub(super) fn new(level: u8, window: u8) -> Self {
        Self::with_size(level, window, 0)
    }

    /// Makes an encoder for content of this size in bytes. Zero means unknown. Larger content gets
    /// larger tables.
    pub(super) fn with_size(level: u8, window: u8, size: usize) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, level.into());
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window.max(MIN_WINDOW_LOG).into());
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, u32::try_from(size).unwrap_or(u32::MAX));
        Self(state)
    }

    pub(super) fn encode(&mut self, input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let op = match op {
            Op::Process => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
            Op::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
            Op::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
        };
        let (mut left, mut at) = (input.len(), 0);
        loop {
            // Without an output buffer of the caller, the output stays in the encoder's own buffer,
            // and is copied once.
            let is_ok = self.0.compress_stream(
                op,
                &mut left,
                input,
                &mut at,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            if !is_ok {
                return Err("the brotli encoder failed".into());
            }
            let mut taken = 0;
            let output = self.0.take_output(&mut taken);
            out.extend_from_slice(&output[..taken]);
            if left == 0 && !self.0.has_more_output() {
                return Ok(());
            }
        }
    }
}
