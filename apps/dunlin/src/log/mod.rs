//! The log: pretty on a terminal, and JSON lines otherwise, on the standard error.
//!
//! Lines go to a bounded queue, which a thread of its own writes. No request waits for the reader
//! of the log. If the reader does not read, lines are dropped and counted. The count is written
//! when the reader reads again.

mod queue;

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Duration;

use dunlin_http::Metric;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Format, Log};
use queue::Queue;

/// The longest time that the end of the process waits for the reader of the log.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::new);

/// The writer of the subscriber.
struct ToQueue;

/// One line.
struct Line {
    urgent: bool,
}

/// Starts the log. Later calls do nothing.
pub(crate) fn start(log: &Log) {
    let pretty = match log.format {
        Format::Auto => io::stderr().is_terminal(),
        Format::Pretty => true,
        Format::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(ToQueue);
    let layer = if pretty {
        layer.with_ansi(crate::failure::is_coloured()).with_target(false).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    let level = LevelFilter::from_level(log.level);
    if tracing_subscriber::registry().with(layer.with_filter(level)).try_init().is_ok() {
        let report = |dropped| tracing::warn!(dropped, "log lines were dropped, because the log was not read");
        let writer = move || QUEUE.write_to(&mut io::stderr(), report);
        // Without the thread, the lines are dropped and counted.
        let _ = std::thread::Builder::new().name("dunlin-log".to_owned()).spawn(writer);
    }
}

/// Waits until the lines are written, but no longer than a second.
pub(crate) fn flush() {
    QUEUE.flush(FLUSH_LIMIT);
}

/// The figures of the log.
pub(crate) fn metrics() -> Vec<Metric> {
    let help = "Log lines that were dropped, because the log was not read.";
    vec![Metric::counter("dunlin_log_dropped_total", help, QUEUE.dropped.get())]
}

impl<'w> MakeWriter<'w> for ToQueue {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line { urgent: false }
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Line {
        Line { urgent: *meta.level() <= Level::WARN }
    }
}

impl Write for Line {
    /// Takes a whole line: the subscriber formats it first.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.push(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
