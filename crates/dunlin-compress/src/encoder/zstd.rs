//! The zstd encoder for streams.

use dunlin_http::BoxError;
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective};

use super::{Op, output_reserve};

pub(super) struct Zstd(CCtx<'static>);

// === impl Zstd ===

impl Zstd {
    pub(super) fn new(level: u8, window: u8) -> Result<Self, BoxError> {
        let mut context = CCtx::try_create().ok_or("no memory for a zstd encoder")?;
        context.set_parameter(CParameter::CompressionLevel(level.into())).map_err(error)?;
        context.set_parameter(CParameter::WindowLog(window.into())).map_err(error)?;
        Ok(Self(context))
    }

    pub(super) fn reset(&mut self) -> bool {
        self.0.reset(ResetDirective::SessionOnly).is_ok()
    }

    pub(super) fn encode(&mut self, input: &[u8], op: Op, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let op = match op {
            Op::Process => ZSTD_EndDirective::ZSTD_e_continue,
            Op::Flush => ZSTD_EndDirective::ZSTD_e_flush,
            Op::Finish => ZSTD_EndDirective::ZSTD_e_end,
        };
        let mut source = InBuffer::around(input);
        loop {
            if out.capacity() - out.len() < 64 {
                out.reserve(output_reserve(input.len()));
            }
            let at = out.len();
            let left = self.0.compress_stream2(&mut OutBuffer::around_pos(out, at), &mut source, op).map_err(error)?;
            let ended = match op {
                ZSTD_EndDirective::ZSTD_e_continue => source.pos() == input.len(),
                _ => left == 0,
            };
            if ended {
                return Ok(());
            }
        }
    }
}

pub(super) fn error(code: ErrorCode) -> BoxError {
    format!("the zstd encoder failed: {}", zstd_safe::get_error_name(code)).into()
}
