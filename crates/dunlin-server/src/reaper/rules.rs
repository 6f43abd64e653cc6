//! The deadlines of connections.

use std::time::Duration;

use crate::Config;
use crate::ledger::{Ledger, MinPace, Pace, Phase, Signal, Tick};

/// The deadlines of a configuration, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    keep_alive: Tick,
    first_byte: Tick,
    header: Tick,
    body: Tick,
    write: Tick,
    /// Bytes a second.
    min_rate: u64,
    park_after: Tick,
    max_age: Tick,
    tunnel_idle: Tick,
    /// The time in which an idle connection may bring one more request while the loop drains.
    drain_idle: Tick,
}

/// The reaper's notes about a connection, between two looks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<Tick>,
    read: Pace,
    written: Pace,
    closing_since: Option<Tick>,
}

/// The time between two looks at a busy connection.
const SOON: Tick = 40;
/// The longest time between two looks at a tunnel.
const SELDOM: Tick = 1_000;
/// The time from asking a connection to close until it is cut.
const CLOSING: Tick = 5_000;
/// The time in which bytes are discarded after the last response.
const LINGER: Tick = 2_000;
/// The time without progress for a client that has closed its half. A client that is gone looks the
/// same until something is sent to it, so its request gets little time.
const HALF_CLOSED: Tick = 2_000;

// === impl Rules ===

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        // The clock is rounded down to whole milliseconds. One more keeps deadlines from being
        // early.
        let ticks = |duration: Duration| Tick::try_from(duration.as_millis()).unwrap_or(Tick::MAX).saturating_add(1);
        Self {
            keep_alive: ticks(config.keep_alive),
            first_byte: ticks(config.first_byte_timeout),
            header: ticks(config.header_timeout),
            body: ticks(config.body_timeout),
            write: ticks(config.write_timeout),
            min_rate: config.min_rate.into(),
            park_after: ticks(config.park_after),
            max_age: ticks(config.max_connection_age),
            tunnel_idle: ticks(config.tunnel_idle),
            drain_idle: ticks(config.drain / 2).min(1_000),
        }
    }

    /// Judges a connection, and signals the verdict. Returns the tick of the next look.
    pub(super) fn look(&self, ledger: &Ledger, watch: &mut Watch, now: Tick, draining: bool) -> Tick {
        let last = watch.last.replace(now).unwrap_or(now);
        let passed = since(now, last);
        if ledger.signalled() >= Signal::Close {
            return self.look_closing(ledger, watch, now);
        }
        if ledger.phase() == Phase::Tunnel {
            return self.look_tunnel(ledger, now);
        }
        if ledger.is_idle() {
            return self.look_idle(ledger, now, draining);
        }
        let (read, written) = ledger.bytes();
        let (body, write) = (self.min_pace(self.body), self.min_pace(self.write));
        if watch.written.is_too_slow(ledger.waits_for_reader(), written, passed, write) {
            ledger.signal(Signal::Cut);
        }
        let waits_for_body = ledger.phase() == Phase::Body && ledger.waits_to_read();
        if watch.read.is_too_slow(waits_for_body, read, passed, body) {
            ledger.time_out_body();
        }
        if let Some(streams) = ledger.streams() {
            streams.requests.time_out(passed, body);
            streams.responses.time_out(passed, write);
        }
        match ledger.phase() {
            Phase::New if since(now, ledger.accepted_at()) > self.first_byte => ledger.signal(Signal::Close),
            Phase::Head if since(now, ledger.phase_since()) > self.header => ledger.signal(Signal::HeadTimeout),
            Phase::Linger if since(now, ledger.phase_since()) > LINGER => ledger.signal(Signal::Cut),
            _ if ledger.is_half_closed() && since(now, ledger.active()) > HALF_CLOSED => {
                ledger.signal(Signal::Cut);
            }
            _ if since(now, ledger.accepted_at()) > self.max_age => ledger.signal(Signal::Drain),
            _ => {}
        }
        now + SOON
    }

    const fn min_pace(&self, window: Tick) -> MinPace {
        MinPace { window, rate: self.min_rate }
    }

    fn look_closing(&self, ledger: &Ledger, watch: &mut Watch, now: Tick) -> Tick {
        let begun = *watch.closing_since.get_or_insert(now);
        if since(now, begun) > CLOSING && ledger.in_flight() == 0 {
            ledger.signal(Signal::Cut);
        }
        now + SOON
    }

    /// Judges a tunnel. It has no requests, so only its idle time and its age count.
    fn look_tunnel(&self, ledger: &Ledger, now: Tick) -> Tick {
        let (idle_at, old_at) =
            (ledger.active().saturating_add(self.tunnel_idle), ledger.accepted_at().saturating_add(self.max_age));
        if idle_at <= now {
            ledger.signal(Signal::Cut);
        } else if old_at <= now {
            ledger.signal(Signal::Close);
        }
        idle_at.min(old_at).clamp(now + SOON, now.saturating_add(SELDOM))
    }

    fn look_idle(&self, ledger: &Ledger, now: Tick, draining: bool) -> Tick {
        let is_new = ledger.phase() == Phase::New;
        let (from, limit) =
            if is_new { (ledger.accepted_at(), self.first_byte) } else { (ledger.idle_since(), self.keep_alive) };
        let idle = since(now, from);
        let limit = if draining { limit.min(self.drain_idle) } else { limit };
        if idle >= limit || (!is_new && since(now, ledger.accepted_at()) > self.max_age) {
            ledger.signal(Signal::Close);
            return now + SOON;
        }
        if ledger.is_parked() {
            return from.saturating_add(limit);
        }
        if !is_new && idle >= self.park_after && !draining {
            ledger.signal(Signal::Park);
        }
        now + SOON.min(self.park_after)
    }
}

const fn since(now: Tick, then: Tick) -> Tick {
    now.saturating_sub(then)
}
