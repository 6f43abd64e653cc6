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
    pub(super) fn push(&self, line: &[u8], urgent: bool) {
        let mut state = self.state.lock();
        if state.lines.len() + line.len() > LIMIT {
            state.dropped += 1;
            self.dropped.increment();
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        let hurry = (urgent || state.lines.len() >= BATCH) && !state.urgent;
        state.urgent |= hurry;
        drop(state);
        if was_empty || hurry {
            self.filled.notify_one();
        }
    }

    /// Writes lines to `out` for ever. `report` is called with the number of lines that were
    /// dropped or could not be written, and may push a line.
    pub(super) fn write_to(&self, out: &mut impl Write, report: impl Fn(u64)) {
        self.state.lock().has_writer = true;
        let mut lost = 0;
        loop {
            let (lines, dropped) = self.take();
            lost += dropped;
            let written = out.write_all(&lines).and_then(|()| out.flush());
            if written.is_err() {
                let count = lines.iter().filter(|byte| **byte == b'\n').count().max(1) as u64;
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
    fn take(&self) -> (Vec<u8>, u64) {
        let mut state = self.state.lock();
        self.filled.wait_while(&mut state, |state| state.lines.is_empty() && state.dropped == 0);
        if !state.urgent {
            self.filled.wait_while_for(&mut state, |state| !state.urgent, WAIT);
        }
        state.urgent = false;
        state.writing = true;
        (std::mem::take(&mut state.lines), std::mem::take(&mut state.dropped))
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

    fn slow() -> (Arc<Queue>, Receiver<Vec<u8>>) {
        let queue = Arc::new(Queue::new());
        let (sender, receiver) = sync_channel(0);
        let writer = queue.clone();
        std::thread::spawn(move || {
            let report = |dropped| writer.push(format!("{dropped} dropped").as_bytes(), true);
            writer.write_to(&mut Slow(sender), report);
        });
        (queue, receiver)
    }

    #[test]
    fn lines_come_in_order() {
        let (queue, receiver) = slow();
        queue.push(b"a\n", false);
        queue.push(b"b\n", true);
        assert_eq!(receiver.recv().unwrap(), b"a\nb\n");
        queue.push(b"c\n", false);
        assert_eq!(receiver.recv().unwrap(), b"c\n");
    }

    #[test]
    fn a_reader_that_does_not_read_loses_lines_and_learns_how_many() {
        let (queue, receiver) = slow();
        queue.push(b"first\n", true);
        assert_eq!(receiver.recv().unwrap(), b"first\n");
        let line = [b'x'; 1024];
        for _ in 0..3 * LIMIT / line.len() {
            queue.push(&line, true);
        }
        let begun = Instant::now();
        queue.flush(begun + Duration::from_millis(20));
        assert!(begun.elapsed() < Duration::from_secs(5), "the end does not wait for the reader");
        let mut bytes = 0;
        let report = loop {
            let written = receiver.recv().unwrap();
            if written.ends_with(b" dropped") {
                break String::from_utf8(written).unwrap();
            }
            bytes += written.len();
        };
        assert!(bytes <= 2 * LIMIT, "{bytes}");
        let dropped = (3 * LIMIT - bytes) / line.len();
        assert_eq!(report, format!("{dropped} dropped"));
        assert_eq!(queue.dropped.get(), dropped as u64);
    }
}
