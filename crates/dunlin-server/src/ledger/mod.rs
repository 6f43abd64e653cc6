//! [`Ledger`]: the record of one connection.
//!
//! The task of a connection records its progress here. The reaper of its loop reads the record now
//! and then, and responds with a [`Signal`]. This module depends on neither: it has no socket, no
//! request and no deadline.

mod budget;
mod pace;
mod phase;
mod streams;
mod ticks;

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use futures_util::task::AtomicWaker;

pub(crate) use budget::WriteBudget;
pub(crate) use pace::{MinPace, Pace};
pub(crate) use phase::{Phase, Signal};
pub(crate) use streams::{StreamLedger, Transfer};
pub(crate) use ticks::{Tick, Ticks};

/// The record of one connection. Its task writes, with plain stores; the reaper reads.
#[derive(Debug)]
pub(crate) struct Ledger {
    ticks: Arc<Ticks>,
    accepted_at: Tick,
    phase: AtomicU8,
    /// The beginning of the phase, for phases that have a deadline of their own.
    phase_since: AtomicU32,
    active: AtomicU32,
    idle_since: AtomicU32,
    read: AtomicU64,
    written: AtomicU64,
    waits_to_read: AtomicBool,
    waits_to_write: AtomicBool,
    parked: AtomicBool,
    body_timed_out: AtomicBool,
    half_closed: AtomicBool,
    /// Only of HTTP/2.
    streams: OnceLock<Arc<StreamLedger>>,
    in_flight: AtomicU32,
    requests: AtomicU64,
    panics: AtomicU32,
    signal: AtomicU8,
    waker: AtomicWaker,
    /// `true` if the waker was used up, or there was none yet.
    needs_waker: AtomicBool,
    budget: WriteBudget,
}

/// A request that is not answered to its last byte, until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Ledger>);

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(ticks: Arc<Ticks>) -> Self {
        let now = ticks.now();
        Self {
            ticks,
            accepted_at: now,
            phase: AtomicU8::new(Phase::New as u8),
            phase_since: AtomicU32::new(now),
            active: AtomicU32::new(now),
            idle_since: AtomicU32::new(now),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            waits_to_read: AtomicBool::new(false),
            waits_to_write: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            body_timed_out: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            streams: OnceLock::new(),
            in_flight: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            panics: AtomicU32::new(0),
            signal: AtomicU8::new(Signal::None as u8),
            waker: AtomicWaker::new(),
            needs_waker: AtomicBool::new(true),
            budget: WriteBudget::default(),
        }
    }

    pub(crate) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    pub(crate) const fn accepted_at(&self) -> Tick {
        self.accepted_at
    }

    pub(crate) const fn budget(&self) -> &WriteBudget {
        &self.budget
    }

    // --- the phase ---

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Relaxed))
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        let before = self.phase();
        if before == phase {
            return;
        }
        // The first head is measured from accepting, later ones from their first byte.
        let is_timed = matches!(phase, Phase::Linger | Phase::Tunnel);
        if is_timed || (phase == Phase::Head && before != Phase::New) {
            self.phase_since.store(self.ticks.now(), Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
    }

    /// The beginning of the current head, tunnel or linger.
    pub(crate) fn phase_since(&self) -> Tick {
        self.phase_since.load(Relaxed)
    }

    /// Turns the connection into one of HTTP/2, which alone has a ledger of streams.
    pub(crate) fn begin_streams(&self) -> Arc<StreamLedger> {
        self.set_phase(Phase::Streams);
        self.streams.get_or_init(Arc::default).clone()
    }

    pub(crate) fn streams(&self) -> Option<&StreamLedger> {
        self.streams.get().map(|streams| &**streams)
    }

    // --- progress ---

    /// The last tick at which bytes moved in either direction, or a request ended.
    pub(crate) fn active(&self) -> Tick {
        self.active.load(Relaxed)
    }

    /// The tick at which the last response went out. Bytes that are no part of a request or a
    /// response, such as empty lines between requests or PING frames, do not count.
    pub(crate) fn idle_since(&self) -> Tick {
        self.idle_since.load(Relaxed)
    }

    /// Restarts the idle time.
    pub(crate) fn touch(&self) {
        let now = self.ticks.now();
        self.active.store(now, Relaxed);
        self.idle_since.store(now, Relaxed);
    }

    /// The bytes read and written so far.
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
        self.budget.count(n);
        let now = self.ticks.now();
        self.active.store(now, Relaxed);
        // Bytes that are written while no request is in flight belong to a response only if they
        // had to wait.
        if self.in_flight.load(Relaxed) > 0 || self.waits_to_write() {
            self.idle_since.store(now, Relaxed);
        }
    }

    /// Returns `true` if the task waits for the client to send.
    pub(crate) fn waits_to_read(&self) -> bool {
        self.waits_to_read.load(Relaxed)
    }

    pub(crate) fn set_waits_to_read(&self, waits: bool) {
        self.waits_to_read.store(waits, Relaxed);
    }

    /// Returns `true` if the task waits for room in the socket.
    pub(crate) fn waits_to_write(&self) -> bool {
        self.waits_to_write.load(Relaxed)
    }

    pub(crate) fn set_waits_to_write(&self, waits: bool) {
        self.waits_to_write.store(waits, Relaxed);
    }

    /// Returns `true` if the client has to take more before the task can go on: the socket is full,
    /// or the windows of HTTP/2 are.
    pub(crate) fn waits_for_reader(&self) -> bool {
        self.waits_to_write() || self.streams().is_some_and(StreamLedger::is_blocked)
    }

    /// Records that the client has closed its half. Its requests are still answered.
    pub(crate) fn set_half_closed(&self) {
        self.half_closed.store(true, Relaxed);
    }

    pub(crate) fn is_half_closed(&self) -> bool {
        self.half_closed.load(Relaxed)
    }

    /// Ends the body of an HTTP/1 request that comes too slowly. Nothing more of it is read.
    pub(crate) fn time_out_body(&self) {
        self.body_timed_out.store(true, Release);
        self.wake();
    }

    pub(crate) fn is_body_timed_out(&self) -> bool {
        self.body_timed_out.load(Relaxed)
    }

    // --- requests ---

    /// Begins a request of HTTP/1.
    pub(crate) fn begin_single(&self) {
        // Requests of HTTP/1 follow one another, so no read-modify-write is needed.
        self.requests.store(self.requests() + 1, Relaxed);
        self.in_flight.store(1, Relaxed);
    }

    /// Ends a request of HTTP/1.
    pub(crate) fn end_single(&self) {
        self.touch();
        self.in_flight.store(0, Release);
    }

    /// Begins a request of HTTP/2, where several are in flight.
    pub(crate) fn begin_request(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Acquire)
    }

    /// The requests that reached the handler.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// The requests whose handler panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed).into()
    }

    /// Returns `true` if every request is answered, and no byte of a next one has come.
    pub(crate) fn is_idle(&self) -> bool {
        let is_between = match self.phase() {
            Phase::New | Phase::Between | Phase::Streams => true,
            Phase::Head | Phase::Body | Phase::Upgrade | Phase::Tunnel | Phase::Linger => false,
        };
        is_between && self.in_flight() == 0 && !self.waits_to_write()
    }

    // --- signals ---

    /// Signals the connection's task. An earlier signal stays if it is stronger.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.signal.fetch_max(signal as u8, AcqRel) < signal as u8 {
            self.wake();
        }
    }

    pub(crate) fn signalled(&self) -> Signal {
        Signal::from_u8(self.signal.load(Acquire))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.signalled() >= Signal::Close
    }

    pub(crate) fn park(&self) {
        self.parked.store(true, Release);
    }

    /// Ends parking, and clears a signal to park.
    pub(crate) fn unpark(&self) {
        let _ = self.signal.compare_exchange(Signal::Park as u8, Signal::None as u8, AcqRel, Relaxed);
        self.parked.store(false, Release);
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked.load(Acquire)
    }

    /// Registers the task that a signal wakes. A task's waker stays the same, so this costs one
    /// load, except after a signal.
    pub(crate) fn register(&self, waker: &Waker) {
        if self.needs_waker.load(Acquire) {
            self.needs_waker.store(false, Release);
            self.waker.register(waker);
        }
    }

    pub(crate) fn wake(&self) {
        self.needs_waker.store(true, Release);
        self.waker.wake();
    }
}

// === impl InFlight ===

impl InFlight {
    pub(crate) const fn ledger(&self) -> &Arc<Ledger> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.touch();
        self.0.in_flight.fetch_sub(1, Release);
    }
}
