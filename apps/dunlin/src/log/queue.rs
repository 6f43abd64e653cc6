//! [`Queue`]: lines on their way to a reader that may be slow.

use std::io::Write;
use std::time::{Duration, Instant};

use dunlin_http::Counter;
use parking_lot::{Condvar, Mutex};

/// The time for which a line may wait for others.
const WAIT: Duration = Duration::from_millis(50);
/// The number of bytes that are written without waiting for more.
const BATCH: usize = 64 * 1024;
/// The limit of the queue, in bytes. Lines beyond it are dropped.
const LIMIT: usize = 4 * 1024 * 1024;
/// The room for reports beyond the limit, because lines are dropped exactly when the queue is full.
const REPORT_ROOM: usize = 64 * 1024;

/// The time by which a line has to be written, and whether it may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It may wait for others.
    Later,
    Now,
    /// As `Now`, and it has room in a full queue: it is the number of dropped lines.
    Report,
}

/// Lines that wait to be written, with a limit.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Signalled when there are lines to write.
    filled: Condvar,
    /// Signalled when lines were written.
    written: Condvar,
    /// The number of dropped lines since the start.
    pub(super) dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// The number of the lines.
    count: u64,
    /// `true` if the lines are to be written without waiting for more.
    urgent: bool,
    /// `true` while lines are being written outside the lock.
    writing: bool,
    /// `true` once a thread writes the lines.
    has_writer: bool,
    dropped: u64,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a line, or drops it if the queue is full. It never waits for the reader.
    pub(super) fn push(&self, line: &[u8], urgency: Urgency) {
        let limit = if urgency == Urgency::Report { LIMIT + REPORT_ROOM } else { LIMIT };
        let mut state = self.state.lock();
        if state.lines.len() + line.len() > limit {
            state.dropped += 1;
            self.dropped.increment();
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        state.count += 1;
        let hurry = (urgency != Urgency::Later || state.lines.len() >= BATCH) && !state.urgent;
        state.urgent |= hurry;
        drop(state);
        if was_empty || hurry {
            self.filled.notify_one();
        }
    }

    /// Writes lines to `out` for ever. `report` is called with the number of lines that were
    /// dropped or could not be written, and may push a [report](Urgency::Report).
    pub(super) fn write_to(&self, out: &mut impl Write, report: impl Fn(u64)) {
        self.state.lock().has_writer = true;
        let mut lost = 0;
        loop {
            let State { lines, count, dropped, .. } = self.take();
            lost += dropped;
            let written = out.write_all(&lines).and_then(|()| out.flush());
            if written.is_err() {
                self.dropped.add(count);
                lost += count;
            } else if lost > 0 {
                // Only behind a line that was written, because the report is a line, too.
                report(std::mem::take(&mut lost));
            }
            self.state.lock().writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for lines, and then for more of them unless they are urgent.
    fn take(&self) -> State {
        let mut state = self.state.lock();
        self.filled.wait_while(&mut state, |state| state.lines.is_empty() && state.dropped == 0);
        if !state.urgent {
            self.filled.wait_while_for(&mut state, |state| !state.urgent, WAIT);
        }
        let rest = State { writing: true, has_writer: true, ..State::default() };
        std::mem::replace(&mut *state, rest)
    }

    /// Waits until all lines are written, but no longer than until `end`.
    pub(super) fn flush(&self, end: Instant) {
        let mut state = self.state.lock();
        state.urgent = true;
        self.filled.notify_one();
        while state.has_writer && (state.writing || !state.lines.is_empty()) {
            if self.written.wait_until(&mut state, end).timed_out() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// The length of a line, with its end.
    const LINE: usize = 1024;

    /// A reader that takes one write after another, when it is asked to.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Starts the thread that writes the lines of a queue.
    fn start(queue: &Arc<Queue>) -> Receiver<Vec<u8>> {
        let (sender, receiver) = sync_channel(0);
        let writer = queue.clone();
        std::thread::spawn(move || {
            let report = |dropped| writer.push(format!("{dropped} dropped\n").as_bytes(), Urgency::Report);
            writer.write_to(&mut Slow(sender), report);
        });
        receiver
    }

    /// Fills the queue twice over.
    fn flood(queue: &Queue) {
        let line = [&[b'x'; LINE - 1][..], b"\n"].concat();
        for _ in 0..2 * LIMIT / LINE {
            queue.push(&line, Urgency::Now);
        }
    }

    /// Reads until all lines of `floods` are written or reported as dropped. Returns the number of
    /// those that were dropped.
    fn read(receiver: &Receiver<Vec<u8>>, floods: usize) -> usize {
        let total = floods * 2 * LIMIT / LINE;
        let (mut written, mut dropped) = (0, 0);
        while written + dropped < total {
            let batch = receiver.recv_timeout(Duration::from_secs(60)).expect("the number of dropped lines");
            for line in batch.split(|byte| *byte == b'\n') {
                match std::str::from_utf8(line).unwrap().strip_suffix(" dropped") {
                    Some(number) => dropped += number.parse::<usize>().unwrap(),
                    None => written += usize::from(line.len() == LINE - 1),
                }
            }
        }
        assert_eq!(written + dropped, total);
        dropped
    }

    #[test]
    fn lines_come_in_order() {
        let queue = Arc::new(Queue::new());
        let receiver = start(&queue);
        queue.push(b"a\n", Urgency::Later);
        queue.push(b"b\n", Urgency::Now);
        assert_eq!(receiver.recv().unwrap(), b"a\nb\n");
        queue.push(b"c\n", Urgency::Later);
        assert_eq!(receiver.recv().unwrap(), b"c\n");
    }

    #[test]
    fn a_reader_that_does_not_read_loses_lines_and_learns_how_many() {
        let queue = Arc::new(Queue::new());
        let receiver = start(&queue);
        queue.push(b"first\n", Urgency::Now);
        assert_eq!(receiver.recv().unwrap(), b"first\n");
        flood(&queue);
        flood(&queue);
        let begun = Instant::now();
        queue.flush(begun + Duration::from_millis(20));
        assert!(begun.elapsed() < Duration::from_secs(5), "the end does not wait for the reader");
        let dropped = read(&receiver, 2);
        assert!(dropped >= 2 * LIMIT / LINE, "{dropped}");
        assert_eq!(queue.dropped.get(), dropped as u64);
    }

    #[test]
    fn a_full_queue_has_room_for_the_number_of_dropped_lines() {
        let queue = Arc::new(Queue::new());
        // The first write has lines that were dropped before it. At its end the queue is full.
        flood(&queue);
        let receiver = start(&queue);
        while !queue.state.lock().writing {
            std::thread::yield_now();
        }
        flood(&queue);
        assert_eq!(read(&receiver, 2), 2 * LIMIT / LINE);
        assert_eq!(queue.dropped.get(), 2 * LIMIT as u64 / LINE as u64);
    }
}
