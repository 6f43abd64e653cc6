//! brotli in pieces, and what it has in common with whole contents.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use dunlin_http::BoxError;

use super::Op;

/// With windows below this one, as a power of two, the encoder takes a hasher at levels from 5 on
/// that is slower by a factor of fifty.
pub(super) const LEAST_WINDOW: u8 = 17;

pub(super) struct Brotli(BrotliEncoderStateStruct<StandardAlloc>);

// === impl Brotli ===

impl Brotli {
    pub(super) fn new(level: u8, window: u8) -> Self {
        Self::with_size(level, window, 0)
    }

    /// For content of a known size, in bytes; 0 is unknown. Larger ones get larger tables.
    pub(super) fn with_size(level: u8, window: u8, size: usize) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, level.into());
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window.max(LEAST_WINDOW).into());
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
            // Without room of ours the output stays in the encoder's own buffer, from which it is
            // copied once.
            let fine = self.0.compress_stream(
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
            if !fine {
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
