//! [`FrameMeter`]: the limits of HTTP/2 frames that carry neither requests nor data.

/// Reads the heads of a client's frames before h2 does.
///
/// It counts frames that carry neither a request nor data (RFC 9113 §6), because they cost the
/// server more than the client, and a flood of them is an attack (RFC 9113 §10.5). It also finds
/// forbidden frames for which h2 has no error, or an error with another code.
///
/// It does not see header blocks, which h2 decodes. Decision 21 says what h2 does with malformed
/// fields.
#[derive(Debug)]
pub(crate) struct FrameMeter {
    /// The bytes that are left of the preface, or of a frame's payload.
    skip: usize,
    head: [u8; 9],
    have: usize,
    /// `true` once the first frame has come.
    begun: bool,
    streams: OpenStreams,
    /// The number of control frames that may still come. It grows with time.
    credit: u32,
    rate: u32,
    refilled_at: u32,
    /// The WINDOW_UPDATE frames that the sent data accounts for, and the bytes that were sent by
    /// then.
    updates: u64,
    sent: u64,
}

/// A reason to end the connection, with its code (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// PROTOCOL_ERROR: the preface has no SETTINGS.
    Preface = 1,
    /// STREAM_CLOSED: data on a stream that the client has ended.
    Ended = 5,
    /// ENHANCE_YOUR_CALM: too many control frames.
    Flood = 11,
}

/// The streams that the client has opened and not ended.
#[derive(Debug, Default)]
struct OpenStreams {
    ids: Vec<u32>,
    last: u32,
    /// The last stream that is no longer remembered.
    forgotten: u32,
}

/// The seconds for which there is credit.
const WINDOW: u32 = 10;
const PREFACE_LEN: usize = 24;
/// The number of streams that are remembered. It is limited, because a client need not end a stream
/// that the server has reset.
const REMEMBERED: usize = 256;
/// The sent bytes that account for one WINDOW_UPDATE. A client may send two for each DATA frame,
/// however small, and the head of a frame has nine bytes.
const BYTES_PER_UPDATE: u64 = 5;
/// The limit of the WINDOW_UPDATE frames that sent data accounts for, so that a long download does
/// not make a flood possible.
const MAX_UPDATES: u64 = 1 << 16;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

// === impl Fault ===

impl Fault {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Preface => "the preface has no SETTINGS",
            Self::Ended => "there is data on a stream that the client has ended",
            Self::Flood => "there are too many frames without a request or data",
        }
    }
}

// === impl FrameMeter ===

impl FrameMeter {
    /// Allows `rate` frames a second, on average over ten seconds.
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            skip: PREFACE_LEN,
            head: [0; 9],
            have: 0,
            begun: false,
            streams: OpenStreams::default(),
            credit: rate.saturating_mul(WINDOW),
            rate,
            refilled_at: 0,
            updates: 0,
            sent: 0,
        }
    }

    /// Reads the next bytes at `now`, in milliseconds. `sent` is the number of all bytes that the
    /// server has sent.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], now: u32, sent: u64) -> Result<(), Fault> {
        let gained = u64::from(now.saturating_sub(self.refilled_at)) * u64::from(self.rate) / 1000;
        if gained > 0 {
            let full = self.rate.saturating_mul(WINDOW);
            self.credit = self.credit.saturating_add(u32::try_from(gained).unwrap_or(u32::MAX)).min(full);
            self.refilled_at = now;
        }
        let earned = sent.saturating_sub(self.sent) / BYTES_PER_UPDATE;
        self.sent += earned * BYTES_PER_UPDATE;
        self.updates = (self.updates + earned).min(MAX_UPDATES);
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

    /// Judges the head of a frame.
    fn judge(&mut self) -> Result<(), Fault> {
        let [a, b, c, kind, flags, id @ ..] = self.head;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // RFC 9113 §3.4: the preface ends with a SETTINGS frame, which is no acknowledgement.
        if !std::mem::replace(&mut self.begun, true) && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Fault::Preface);
        }
        let is_end = flags & END_STREAM != 0;
        let is_allowed = self.streams.record(kind, u32::from_be_bytes(id) & u32::MAX >> 1, is_end);
        if !is_allowed {
            return Err(Fault::Ended);
        }
        if kind == WINDOW_UPDATE && self.updates > 0 {
            self.updates -= 1;
        } else if is_control(kind, is_end, self.skip) {
            self.credit = self.credit.checked_sub(1).ok_or(Fault::Flood)?;
        }
        Ok(())
    }
}

// === impl OpenStreams ===

impl OpenStreams {
    /// Records a frame. Returns `false` for data behind the end of its stream. h2 finds other
    /// violations.
    fn record(&mut self, kind: u8, id: u32, is_end: bool) -> bool {
        match kind {
            HEADERS if id > self.last => {
                self.last = id;
                if !is_end {
                    self.open(id);
                }
            }
            // RFC 9113 §5.1: data on an idle stream or on no stream is another error.
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

/// Returns `true` for PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION, unknown frames, DATA with
/// neither data nor an end, and WINDOW_UPDATE for which nothing was sent.
const fn is_control(kind: u8, is_end: bool, len: usize) -> bool {
    match kind {
        DATA => len == 0 && !is_end,
        HEADERS => false,
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
    fn control_frames_are_counted_at_any_cuts() {
        let mut bytes = [&[0; PREFACE_LEN], FIRST].concat();
        for i in 0..9 {
            bytes.extend(ping());
            bytes.extend(frame(1, 4, 2 * i + 1, b"head"));
            bytes.extend(frame(0, 0, 2 * i + 1, b"data"));
            bytes.extend(frame(0, 1, 2 * i + 1, b""));
        }
        for size in [1, 2, 3, 7, 9, 1000] {
            let mut meter = FrameMeter::new(1);
            assert!(bytes.chunks(size).all(|chunk| meter.scan(chunk, 0, 0).is_ok()), "{size}");
            assert_eq!(meter.scan(&ping(), 999, 0), Err(Fault::Flood));
            assert_eq!(meter.scan(&ping(), 1999, 0), Ok(()));
        }
    }

    /// Checks the verdict on `frames` behind the preface.
    fn check(frames: &[Vec<u8>], expect: Result<(), Fault>) {
        let bytes = [vec![0; PREFACE_LEN], frames.concat()].concat();
        assert_eq!(FrameMeter::new(500).scan(&bytes, 0, 0), expect, "{frames:?}");
    }

    #[test]
    fn window_updates_beyond_the_sent_data_are_counted() {
        let begin = [vec![0; PREFACE_LEN], FIRST.to_vec()].concat();
        let mut meter = FrameMeter::new(1);
        meter.scan(&begin, 0, 0).unwrap();
        let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        // The credit is nine frames.
        assert_eq!(meter.scan(&update.repeat(9 + 200), 0, 1_002), Ok(()));
        assert_eq!(meter.scan(&update, 0, 1_004), Err(Fault::Flood));
        assert_eq!(meter.scan(&update, 0, 1_005), Ok(()));
        assert_eq!(meter.scan(&update.repeat(MAX_UPDATES as usize), 0, u64::MAX), Ok(()));
        assert_eq!(meter.scan(&update, 0, u64::MAX), Err(Fault::Flood));
    }

    #[test]
    fn a_preface_has_settings() {
        check(&[FIRST.to_vec(), ping()], Ok(()));
        check(&[ping()], Err(Fault::Preface));
        check(&[frame(4, ACK, 0, b"")], Err(Fault::Preface));
        check(&[frame(1, 5, 1, b"head"), FIRST.to_vec()], Err(Fault::Preface));
    }

    #[test]
    fn only_data_behind_the_end_of_a_stream_is_a_fault() {
        let (head, ended) = (|id| frame(1, 4, id, b"head"), |id| frame(1, 5, id, b"head"));
        let data = |flags, id| frame(0, flags, id, b"data");
        let first = || FIRST.to_vec();
        check(&[first(), ended(1), data(0, 1)], Err(Fault::Ended));
        check(&[first(), head(1), data(1, 1), data(0, 1)], Err(Fault::Ended));
        check(&[first(), head(1), frame(3, 0, 1, &[0; 4]), data(0, 1)], Err(Fault::Ended));
        // Trailers end a stream too.
        check(&[first(), head(1), data(0, 1), ended(1), data(0, 1)], Err(Fault::Ended));
        check(&[first(), head(1), head(3), data(1, 3), data(0, 1)], Ok(()));
        // h2 finds these violations.
        check(&[first(), data(0, 1)], Ok(()));
        check(&[first(), head(1), data(0, 0), data(0, 3)], Ok(()));
    }

    proptest::proptest! {
        #[test]
        fn the_verdict_is_the_same_at_any_cuts(
            frames in proptest::collection::vec((0u8..12, 0u8..8, 0u8..9, proptest::collection::vec(0u8.., 0..9)), 0..40),
            tail in proptest::collection::vec(0u8.., 0..30),
            size in 1usize..40,
        ) {
            let frames = frames.iter().flat_map(|(kind, flags, id, payload)| frame(*kind, *flags, *id, payload));
            let bytes: Vec<u8> = [0; PREFACE_LEN].into_iter().chain(FIRST.iter().copied()).chain(frames).chain(tail).collect();
            let whole = FrameMeter::new(2).scan(&bytes, 0, 0);
            let mut meter = FrameMeter::new(2);
            let cut = bytes.chunks(size).try_for_each(|chunk| meter.scan(chunk, 0, 0));
            proptest::prop_assert_eq!(whole, cut);
        }
    }

    #[test]
    fn the_number_of_remembered_streams_is_limited() {
        let mut streams = OpenStreams::default();
        for id in (1..=10_001).step_by(2) {
            assert!(streams.record(HEADERS, id, false));
        }
        assert_eq!(streams.ids.len(), REMEMBERED);
        for id in [1, 5_001, 10_001] {
            assert!(streams.record(DATA, id, false), "{id}");
        }
    }
}
