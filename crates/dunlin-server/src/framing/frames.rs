//! [`FrameMeter`]: frames of HTTP/2 that do nothing, and those that stand where none may.

/// Reads the heads of a client's frames, before anything else does. It counts those that carry neither a request nor
/// data (RFC 9113 §6): they cost the server more than the client, and a flood of them is an attack (RFC 9113 §10.5).
#[derive(Debug)]
pub(crate) struct FrameMeter {
    /// Of the preface, or of a frame's payload.
    skip: usize,
    head: [u8; 9],
    have: usize,
    /// Whether the first frame has come.
    begun: bool,
    streams: OpenStreams,
    /// What may still come, in frames; it refills with time.
    credit: u32,
    rate: u32,
    refilled_at: u32,
}

/// What ends a connection, with its code of RFC 9113 §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// PROTOCOL_ERROR: the preface has no SETTINGS.
    Preface = 1,
    /// STREAM_CLOSED: data on a stream that the client itself has ended.
    Ended = 5,
    /// ENHANCE_YOUR_CALM: too many frames that do nothing.
    Flood = 11,
}

/// The streams that a client may still send on: those that it opened and has not ended.
#[derive(Debug, Default)]
struct OpenStreams {
    ids: Vec<u32>,
    last: u32,
    /// Which ones were forgotten: these, and those before.
    forgotten: u32,
}

/// For how many seconds of frames there is credit.
const WINDOW: u32 = 10;
const PREFACE_LEN: usize = 24;
/// How many streams are remembered. A client that is told to stop sending need not end a stream.
const REMEMBERED: usize = 256;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

// === impl FrameMeter ===

impl FrameMeter {
    /// `rate` frames a second, on average over ten seconds.
    pub(crate) fn new(rate: u32) -> Self {
        let credit = rate.saturating_mul(WINDOW);
        let streams = OpenStreams::default();
        Self { skip: PREFACE_LEN, head: [0; 9], have: 0, begun: false, streams, credit, rate, refilled_at: 0 }
    }

    /// Reads on. `now` is in milliseconds.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], now: u32) -> Result<(), Fault> {
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
                self.judge()?;
            }
        }
        Ok(())
    }

    /// Takes in the head of a frame.
    fn judge(&mut self) -> Result<(), Fault> {
        let [a, b, c, kind, flags, id @ ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // RFC 9113 §3.4: the preface ends with a SETTINGS frame, and an acknowledgement is none of the client's own.
        if !std::mem::replace(&mut self.begun, true) && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Fault::Preface);
        }
        let is_end = flags & END_STREAM != 0;
        let may_come = self.streams.take(kind, u32::from_be_bytes(id) & u32::MAX >> 1, is_end);
        if !may_come {
            return Err(Fault::Ended);
        }
        if does_nothing(kind, is_end, self.skip) {
            self.credit = self.credit.checked_sub(1).ok_or(Fault::Flood)?;
        }
        Ok(())
    }
}

// === impl OpenStreams ===

impl OpenStreams {
    /// Takes in a frame; whether it may come. Of what may not, this tells data behind a stream's end alone.
    fn take(&mut self, kind: u8, id: u32, is_end: bool) -> bool {
        match kind {
            HEADERS if id > self.last => {
                self.last = id;
                if !is_end {
                    self.open(id);
                }
            }
            // RFC 9113 §5.1: what is idle has another error, as has what belongs to no stream.
            DATA if (1..=self.last).contains(&id) => {
                let Some(at) = self.ids.iter().position(|open| *open == id) else { return id <= self.forgotten };
                if is_end {
                    self.ids.remove(at);
                }
            }
            HEADERS if is_end => self.ids.retain(|open| *open != id),
            RST_STREAM => self.ids.retain(|open| *open != id),
            _ => {}
        }
        true
    }

    fn open(&mut self, id: u32) {
        if self.ids.len() == REMEMBERED {
            self.forgotten = self.ids.remove(0);
        }
        self.ids.push(id);
    }
}

/// PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION, what is unknown, and DATA with neither data nor an end.
/// WINDOW_UPDATE is the price of data that the server sends.
const fn does_nothing(kind: u8, is_end: bool, len: usize) -> bool {
    match kind {
        DATA => len == 0 && !is_end,
        HEADERS | WINDOW_UPDATE => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

    fn frame(kind: u8, flags: u8, id: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, id], payload].concat()
    }

    fn ping() -> Vec<u8> {
        frame(6, 0, 0, &[0; 8])
    }

    #[test]
    fn frames_that_do_nothing_are_counted_whatever_the_cuts() {
        let mut bytes = [&[0; PREFACE_LEN], FIRST].concat();
        for i in 0..9 {
            bytes.extend(ping());
            bytes.extend(frame(1, 4, 2 * i + 1, b"head"));
            bytes.extend(frame(0, 0, 2 * i + 1, b"data"));
            bytes.extend(frame(0, 1, 2 * i + 1, b""));
        }
        for size in [1, 2, 3, 7, 9, 1000] {
            let mut meter = FrameMeter::new(1);
            assert!(bytes.chunks(size).all(|chunk| meter.scan(chunk, 0).is_ok()), "{size}");
            assert_eq!(meter.scan(&ping(), 999), Err(Fault::Flood));
            assert_eq!(meter.scan(&ping(), 1999), Ok(()));
        }
    }

    /// What comes of `frames` behind the preface.
    fn check(frames: &[Vec<u8>], expect: Result<(), Fault>) {
        let bytes = [vec![0; PREFACE_LEN], frames.concat()].concat();
        assert_eq!(FrameMeter::new(500).scan(&bytes, 0), expect, "{frames:?}");
    }

    #[test]
    fn a_preface_has_settings() {
        check(&[FIRST.to_vec(), ping()], Ok(()));
        check(&[ping()], Err(Fault::Preface));
        check(&[frame(4, ACK, 0, b"")], Err(Fault::Preface));
        check(&[frame(1, 5, 1, b"head"), FIRST.to_vec()], Err(Fault::Preface));
    }

    #[test]
    fn data_behind_the_end_of_a_stream_is_told_from_what_may_come() {
        let (head, ended) = (|id| frame(1, 4, id, b"head"), |id| frame(1, 5, id, b"head"));
        let data = |flags, id| frame(0, flags, id, b"data");
        let first = || FIRST.to_vec();
        check(&[first(), ended(1), data(0, 1)], Err(Fault::Ended));
        check(&[first(), head(1), data(1, 1), data(0, 1)], Err(Fault::Ended));
        check(&[first(), head(1), frame(3, 0, 1, &[0; 4]), data(0, 1)], Err(Fault::Ended));
        // Trailers end it too.
        check(&[first(), head(1), data(0, 1), ended(1), data(0, 1)], Err(Fault::Ended));
        check(&[first(), head(1), head(3), data(1, 3), data(0, 1)], Ok(()));
        // These are wrong otherwise, which is not for this to tell.
        check(&[first(), data(0, 1)], Ok(()));
        check(&[first(), head(1), data(0, 0), data(0, 3)], Ok(()));
    }

    #[test]
    fn streams_that_are_never_ended_are_forgotten() {
        let mut streams = OpenStreams::default();
        for id in (1..=10_001).step_by(2) {
            assert!(streams.take(HEADERS, id, false));
        }
        assert_eq!(streams.ids.len(), REMEMBERED);
        for id in [1, 5_001, 10_001] {
            assert!(streams.take(DATA, id, false), "{id}");
        }
    }
}
