//! When a connection has had its time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Config;
use crate::conn::{Phase, Signal, State, Tick};

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
    /// While the loop drains, an idle connection may still bring one more request for so long.
    drain_idle: Tick,
}

/// What the reaper remembers of a connection between two looks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<Tick>,
    read: Pace,
    written: Pace,
    closing_since: Option<Tick>,
}

/// How far a peer got while it was waited for.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Tick,
    from: u64,
}

/// Until a busy connection is looked at again.
const SOON: Tick = 40;
/// Until a connection that was asked to close is cut.
const CLOSING: Tick = 5_000;
/// How long what a client still sends is thrown away after the last answer.
const LINGER: Tick = 2_000;
/// How long a client that closed its half is given for an answer to begin or to go on. One that went away looks the same
/// until something is sent to it, and what it asked for is not to be worked at for long.
const HALF_CLOSED: Tick = 2_000;

// === impl Rules ===

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        let ticks = |duration: Duration| Tick::try_from(duration.as_millis()).unwrap_or(Tick::MAX);
        Self {
            keep_alive: ticks(config.keep_alive),
            first_byte: ticks(config.first_byte_timeout),
            header: ticks(config.header_timeout),
            body: ticks(config.body_timeout),
            write: ticks(config.write_timeout),
            min_rate: config.min_rate.into(),
            park_after: ticks(config.park_after),
            max_age: ticks(config.max_connection_age),
            drain_idle: ticks(config.drain / 2).min(1_000),
        }
    }

    /// Judges a connection, signals what follows, and tells when to look again.
    pub(super) fn look(&self, state: &State, watch: &mut Watch, now: Tick, draining: bool) -> Tick {
        let last = watch.last.replace(now).unwrap_or(now);
        let passed = since(now, last);
        if state.signalled() >= Signal::Close {
            return self.look_closing(state, watch, now);
        }
        if state.is_idle() {
            return self.look_idle(state, now, draining);
        }
        let (read, written) = state.bytes();
        if watch.written.is_too_slow(state.waits_for_reader(), written, passed, self.write, self.min_rate) {
            state.signal(Signal::Cut);
        }
        let waits_for_body = state.phase() == Phase::Body && state.wants_read.load(Relaxed);
        if watch.read.is_too_slow(waits_for_body, read, passed, self.body, self.min_rate) {
            state.time_out_body();
        }
        if state.phase() == Phase::Opaque {
            state.streams.time_out(|pace, waited_for, read| {
                pace.is_too_slow(waited_for, read, passed, self.body, self.min_rate)
            });
            state.answers.time_out(|pace, waited_for, taken| {
                pace.is_too_slow(waited_for, taken, passed, self.write, self.min_rate)
            });
        }
        match state.phase() {
            Phase::New if since(now, state.accepted_at) > self.first_byte => state.signal(Signal::Close),
            Phase::Head if since(now, state.head_since()) > self.header => state.signal(Signal::HeadTimeout),
            Phase::Linger if since(now, state.head_since()) > LINGER => state.signal(Signal::Cut),
            _ if state.half_closed.load(Relaxed) && since(now, state.active()) > HALF_CLOSED => {
                state.signal(Signal::Cut);
            }
            _ if since(now, state.accepted_at) > self.max_age => state.signal(Signal::Drain),
            _ => {}
        }
        now + SOON
    }

    fn look_closing(&self, state: &State, watch: &mut Watch, now: Tick) -> Tick {
        let begun = *watch.closing_since.get_or_insert(now);
        if since(now, begun) > CLOSING && state.under_way() == 0 {
            state.signal(Signal::Cut);
        }
        now + SOON
    }

    fn look_idle(&self, state: &State, now: Tick, draining: bool) -> Tick {
        let idle = since(now, state.active());
        let (limit, is_new) = match state.phase() {
            Phase::New => (self.first_byte, true),
            _ => (self.keep_alive, false),
        };
        let limit = if draining { limit.min(self.drain_idle) } else { limit };
        if idle >= limit || (!is_new && since(now, state.accepted_at) > self.max_age) {
            state.signal(Signal::Close);
            return now + SOON;
        }
        if state.is_parked() {
            return state.active().saturating_add(limit);
        }
        if !is_new && idle >= self.park_after && !draining {
            state.signal(Signal::Park);
        }
        now + SOON.min(self.park_after)
    }
}

const fn since(now: Tick, then: Tick) -> Tick {
    now.saturating_sub(then)
}

// === impl Pace ===

impl Pace {
    /// Takes in that `passed` milliseconds went by, with `total` bytes moved until now, and tells whether the peer took
    /// all of `window` and moved less than `rate` bytes a second in it.
    fn is_too_slow(&mut self, waiting: bool, total: u64, passed: Tick, window: Tick, rate: u64) -> bool {
        if !waiting {
            // Time in which the peer was not waited for does not count; what it did then is no debt either.
            if total != self.from {
                *self = Self { waited: 0, from: total };
            }
            return false;
        }
        self.waited += passed;
        if self.waited < window {
            return false;
        }
        let moved = total.saturating_sub(self.from);
        let slow = moved * 1000 < rate * u64::from(self.waited) || moved == 0;
        *self = Self { waited: 0, from: total };
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks each 100 ms at a peer that moves `step` bytes in between; the looks until it is found too slow.
    fn looks(step: u64, waiting: bool) -> Option<u32> {
        let mut pace = Pace::default();
        (1..=100).find(|look| pace.is_too_slow(waiting, u64::from(*look) * step, 100, 1000, 500))
    }

    #[test]
    fn a_peer_that_is_slow_while_waited_for_is_found_after_one_window() {
        assert_eq!(looks(0, true), Some(10));
        assert_eq!(looks(1, true), Some(10));
        assert_eq!(looks(49, true), Some(10));
        assert_eq!(looks(51, true), None);
        assert_eq!(looks(0, false), None);
    }
}
