//! [`State`]: what the task of a connection and the reaper of its loop tell each other.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::task::AtomicWaker;

use super::gate::Returned;
use super::http1::InterimQueue;
use super::http2::Streams;
use super::turn::Turn;

/// Milliseconds since the loop began; see [`Ticks`].
pub(crate) type Tick = u32;

/// A loop's coarse clock: numbers that the reaper writes many times a second and that cost the hot path one load each.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    now: AtomicU32,
    /// Seconds since 1970.
    seconds: AtomicU64,
}

/// What the reaper, or whoever shuts the loop down, asks of a connection. Later ones outweigh earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Signal {
    /// Nothing.
    None = 0,
    /// Let the buffers go: the connection has been idle for a while.
    Park = 1,
    /// Close after the next answer: the loop shuts down, or the connection is old.
    Drain = 2,
    /// Close as soon as nothing is under way.
    Close = 3,
    /// The head did not come in time: answer 408 and close.
    HeadTimeout = 4,
    /// Close at once, whatever is under way.
    Cut = 5,
}

/// What the bytes that come next belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing has come yet since the connection was accepted.
    New = 0,
    /// A head is next, none of it has come.
    Between = 1,
    /// A part of a head has come.
    Head = 2,
    /// The body of a request.
    Body = 3,
    /// Anything: HTTP/2, or a tunnel after an upgrade.
    Opaque = 4,
    /// Nothing that matters: the last answer was sent, and the rest is thrown away.
    Linger = 5,
}

/// What the task of a connection and the reaper of its loop tell each other. The task writes, with plain stores;
/// the reaper reads now and then.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ticks: Arc<Ticks>,
    pub(crate) accepted_at: Tick,
    phase: AtomicU8,
    head_since: AtomicU32,
    active: AtomicU32,
    read: AtomicU64,
    written: AtomicU64,
    pub(crate) wants_read: AtomicBool,
    pub(crate) wants_write: AtomicBool,
    parked: AtomicBool,
    /// Whether a request was answered with 101, so that what follows is a tunnel.
    pub(crate) tunnel: AtomicBool,
    /// Whether the body of a request stopped coming, so that its reader is told so.
    pub(crate) body_timed_out: AtomicBool,
    /// Bodies of streams that handlers wait for.
    pub(crate) streams: Streams,
    /// Bodies that streams answer with, piece by piece.
    pub(crate) answers: Streams,
    /// Streams of answers that HTTP/2 has data of and asks no more of; the client lets nothing through.
    pub(crate) owed: AtomicU32,
    /// Requests that are not answered to the last byte.
    under_way: AtomicU32,
    /// Requests that reached the service.
    called: AtomicU64,
    /// Requests whose service panicked.
    panics: AtomicU32,
    /// Whether the client has said that it sends no more, and is still to be answered.
    pub(crate) half_closed: AtomicBool,
    signal: AtomicU8,
    waker: AtomicWaker,
    /// Whether the waker was used up, or there was none yet.
    wants_waker: AtomicBool,
    returned: Mutex<Option<Returned>>,
    pub(crate) interim: InterimQueue,
    pub(crate) turn: Turn,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<State>);

// === impl Ticks ===

impl Ticks {
    pub(crate) fn now(&self) -> Tick {
        self.now.load(Relaxed)
    }

    /// The time of day, in seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.load(Relaxed)
    }

    pub(crate) fn set(&self, now: Tick, seconds: u64) {
        self.now.store(now, Relaxed);
        self.seconds.store(seconds, Relaxed);
    }
}

// === impl State ===

impl State {
    pub(crate) fn new(ticks: Arc<Ticks>) -> Self {
        let now = ticks.now();
        Self {
            ticks,
            accepted_at: now,
            phase: AtomicU8::new(Phase::New as u8),
            head_since: AtomicU32::new(now),
            active: AtomicU32::new(now),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            wants_read: AtomicBool::new(false),
            wants_write: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            body_timed_out: AtomicBool::new(false),
            streams: Streams::default(),
            answers: Streams::default(),
            owed: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            called: AtomicU64::new(0),
            panics: AtomicU32::new(0),
            half_closed: AtomicBool::new(false),
            signal: AtomicU8::new(Signal::None as u8),
            waker: AtomicWaker::new(),
            wants_waker: AtomicBool::new(true),
            returned: Mutex::new(None),
            interim: InterimQueue::default(),
            turn: Turn::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::New,
            1 => Phase::Between,
            2 => Phase::Head,
            3 => Phase::Body,
            4 => Phase::Opaque,
            _ => Phase::Linger,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        let before = self.phase();
        if before == phase {
            return;
        }
        // The first head is counted from accepting, later ones from their first byte.
        if phase == Phase::Linger || (phase == Phase::Head && before != Phase::New) {
            self.head_since.store(self.ticks.now(), Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
    }

    pub(crate) fn head_since(&self) -> Tick {
        self.head_since.load(Relaxed)
    }

    /// When a byte went in either direction.
    pub(crate) fn active(&self) -> Tick {
        self.active.load(Relaxed)
    }

    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.read.load(Relaxed), self.written.load(Relaxed))
    }

    pub(crate) fn count_read(&self, n: usize) {
        // One task reads, so no read-modify-write is needed.
        self.read.store(self.read.load(Relaxed) + n as u64, Relaxed);
        self.active.store(self.ticks.now(), Relaxed);
    }

    pub(crate) fn count_written(&self, n: usize) {
        self.written.store(self.written.load(Relaxed) + n as u64, Relaxed);
        self.turn.count(n);
        self.active.store(self.ticks.now(), Relaxed);
    }

    /// A request of HTTP/1.1 is taken up, one after the other: no read-modify-write is needed.
    pub(super) fn begin_only(&self) {
        self.called.store(self.called() + 1, Relaxed);
        self.under_way.store(1, Relaxed);
    }

    /// It is answered.
    pub(super) fn end_only(&self) {
        self.touch();
        self.under_way.store(0, Release);
    }

    pub(crate) fn begin_request(self: &Arc<Self>) -> UnderWay {
        self.called.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        UnderWay(self.clone())
    }

    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Acquire)
    }

    /// Whether as many requests came as a connection may have.
    pub(crate) fn is_worn_out(&self, max: u64) -> bool {
        self.called() >= max
    }

    /// Begins the time anew in which the connection may be idle.
    pub(crate) fn touch(&self) {
        self.active.store(self.ticks.now(), Relaxed);
    }

    pub(crate) fn called(&self) -> u64 {
        self.called.load(Relaxed)
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed).into()
    }

    /// Asks something of the connection's task. What was asked before is kept if it outweighs this.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.signal.fetch_max(signal as u8, AcqRel) < signal as u8 {
            self.wake();
        }
    }

    pub(crate) fn signalled(&self) -> Signal {
        match self.signal.load(Acquire) {
            0 => Signal::None,
            1 => Signal::Park,
            2 => Signal::Drain,
            3 => Signal::Close,
            4 => Signal::HeadTimeout,
            _ => Signal::Cut,
        }
    }

    /// Whether it was asked to close already.
    pub(crate) fn is_closing(&self) -> bool {
        self.signalled() >= Signal::Close
    }

    /// Whether nothing is under way and nothing of a request has come.
    pub(crate) fn is_idle(&self) -> bool {
        let between = match self.phase() {
            Phase::New | Phase::Between => true,
            Phase::Opaque => !self.tunnel.load(Relaxed),
            Phase::Head | Phase::Body | Phase::Linger => false,
        };
        between && self.is_settled()
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked.load(Acquire)
    }

    /// Whether the client is waited for to take more: its socket is full, or its windows of HTTP/2 are.
    pub(crate) fn waits_for_reader(&self) -> bool {
        self.wants_write.load(Relaxed) || self.owed.load(Relaxed) > 0
    }

    /// The body of a request came too slowly: its reader is told, and nothing more is read.
    pub(crate) fn time_out_body(&self) {
        self.body_timed_out.store(true, Release);
        self.wake();
    }

    /// Whether every request is answered, as far as the socket took it.
    fn is_settled(&self) -> bool {
        self.under_way() == 0 && !self.wants_write.load(Relaxed)
    }

    pub(crate) fn park(&self) {
        self.parked.store(true, Release);
    }

    /// Forgets a wish to park.
    pub(crate) fn unpark(&self) {
        let _ = self.signal.compare_exchange(Signal::Park as u8, Signal::None as u8, AcqRel, Relaxed);
        self.parked.store(false, Release);
    }

    /// Who is woken by a signal. The waker of a task stays the same, so this costs one load except after a signal.
    pub(crate) fn register(&self, waker: &std::task::Waker) {
        if self.wants_waker.load(Acquire) {
            self.wants_waker.store(false, Release);
            self.waker.register(waker);
        }
    }

    pub(crate) fn wake(&self) {
        self.wants_waker.store(true, Release);
        self.waker.wake();
    }

    pub(crate) fn give_back(&self, returned: Returned) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
        if self.tunnel.load(Relaxed) {
            self.wake();
        }
    }

    pub(crate) fn take_back(&self) -> Option<Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

// === impl UnderWay ===

impl UnderWay {
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.active.store(self.0.ticks.now(), Relaxed);
        self.0.under_way.fetch_sub(1, Release);
    }
}
