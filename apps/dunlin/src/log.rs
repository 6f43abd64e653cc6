//! The log: pretty on a terminal, JSON lines otherwise, on the standard error.
//!
//! Lines gather in memory and are written a few times a second by a thread of their own, so that a request does not wait
//! for whoever reads the log. Warnings and errors are written at once, with all before them.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Format, Log};

/// How long a line may wait for others.
const WAIT: Duration = Duration::from_millis(50);
/// So many bytes do not wait; who logs more than can be written waits, too.
const FULL: usize = 64 * 1024;

/// What waits to be written.
struct Gathered {
    lines: Mutex<Vec<u8>>,
    some: Condvar,
    /// Held by who writes, so that lines stay in order.
    out: Mutex<io::Stderr>,
}

static GATHERED: LazyLock<Gathered> =
    LazyLock::new(|| Gathered { lines: Mutex::default(), some: Condvar::new(), out: Mutex::new(io::stderr()) });

/// Where a subscriber writes its lines to.
struct Gather;

/// One line.
struct Line {
    urgent: bool,
}

/// Starts it. Later calls do nothing.
pub(crate) fn start(log: &Log) {
    let pretty = match log.format {
        Format::Auto => io::stderr().is_terminal(),
        Format::Pretty => true,
        Format::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(Gather);
    let layer = if pretty {
        layer.with_ansi(crate::cli::coloured()).with_target(false).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    let level = LevelFilter::from_level(log.level);
    if tracing_subscriber::registry().with(layer.with_filter(level)).try_init().is_ok() {
        // Without the thread lines are written when enough have gathered, and at the end.
        let _ = std::thread::Builder::new().name("dunlin-log".to_owned()).spawn(|| GATHERED.write_for_ever());
    }
}

/// Writes what has gathered.
pub(crate) fn flush() {
    GATHERED.flush();
}

// === impl Gathered ===

impl Gathered {
    fn write_for_ever(&self) {
        loop {
            self.some.wait_while(&mut self.lines.lock(), |lines| lines.is_empty());
            std::thread::sleep(WAIT);
            self.flush();
        }
    }

    /// Writes outside of the lock on the lines: more can gather meanwhile.
    fn flush(&self) {
        let mut out = self.out.lock();
        let lines = std::mem::take(&mut *self.lines.lock());
        let _ = out.write_all(&lines);
    }
}

impl<'w> MakeWriter<'w> for Gather {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line { urgent: false }
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Line {
        Line { urgent: *meta.level() <= Level::WARN }
    }
}

impl Write for Line {
    /// A line comes whole: the subscriber formats it first.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = GATHERED.lines.lock();
        let first = lines.is_empty();
        lines.extend_from_slice(line);
        let full = lines.len() >= FULL;
        drop(lines);
        if self.urgent || full {
            GATHERED.flush();
        } else if first {
            GATHERED.some.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
