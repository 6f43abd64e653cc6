//! [`FrameMeter`]: how many frames of HTTP/2 do nothing.

/// Counts the frames of a client that carry neither a request nor data (RFC 9113 §6). Such frames cost the server more
/// than the client; a flood of them is an attack (RFC 9113 §10.5).
#[derive(Debug)]
pub(crate) struct FrameMeter {
    /// Of the preface, or of a frame's payload.
    skip: usize,
    head: [u8; 9],
    have: usize,
    /// What may still come, in frames; it refills with time.
    credit: u32,
    rate: u32,
    refilled_at: u32,
}

/// For how many seconds of frames there is credit.
const WINDOW: u32 = 10;
const PREFACE_LEN: usize = 24;

// === impl FrameMeter ===

impl FrameMeter {
    /// `rate` frames a second, on average over ten seconds.
    pub(crate) const fn new(rate: u32) -> Self {
        let credit = rate.saturating_mul(WINDOW);
        Self { skip: PREFACE_LEN, head: [0; 9], have: 0, credit, rate, refilled_at: 0 }
    }

    /// Reads on; `false` once there are too many. `now` is in milliseconds.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], now: u32) -> bool {
        let gained = u64::from(now.saturating_sub(self.refilled_at)) * u64::from(self.rate) / 1000;
        if gained > 0 {
            let full = self.rate.saturating_mul(WINDOW);
            self.credit = self.credit.saturating_add(u32::try_from(gained).unwrap_or(u32::MAX)).min(full);
            self.refilled_at = now;
        }
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (self.head.len() - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.head.len() {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if does_nothing(kind, flags, self.skip) {
                    match self.credit.checked_sub(1) {
                        Some(left) => self.credit = left,
                        None => return false,
                    }
                }
            }
        }
        true
    }
}

/// PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION, what is unknown, and DATA with neither data nor an end.
/// WINDOW_UPDATE is the price of data that the server sends.
const fn does_nothing(kind: u8, flags: u8, len: usize) -> bool {
    const END_STREAM: u8 = 1;
    match kind {
        0 => len == 0 && flags & END_STREAM == 0,
        1 | 8 => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_that_do_nothing_are_counted_whatever_the_cuts() {
        let mut bytes = vec![0; PREFACE_LEN];
        for _ in 0..10 {
            bytes.extend(frame(6, 0, &[0; 8]));
            bytes.extend(frame(1, 5, b"head"));
            bytes.extend(frame(0, 1, b""));
            bytes.extend(frame(0, 0, b"data"));
        }
        for size in [1, 2, 3, 7, 9, 1000] {
            let mut meter = FrameMeter::new(1);
            assert!(bytes.chunks(size).all(|chunk| meter.scan(chunk, 0)), "{size}");
            assert!(!meter.scan(&frame(6, 0, &[0; 8]), 999));
            assert!(meter.scan(&frame(6, 0, &[0; 8]), 1999));
        }
    }
}
