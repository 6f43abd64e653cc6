//! The log: lines about the service and about requests.
//!
//! [`mod@sinks`] decides about their form and their place: pretty on a terminal, fields for the
//! journal of systemd, JSON lines otherwise; on the standard error, or in a file. Lines about
//! requests are written by [`access`], those about the service by [`events`].
//!
//! Lines go to a bounded queue, which a thread of its own writes. No request waits for the reader
//! of the log. If the reader does not read, lines are dropped and counted. The count is written
//! when the reader reads again.

mod access;
mod events;
mod file;
mod journal;
mod queue;
mod sinks;
mod time;
mod value;

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use dunlin_http::Metric;
use parking_lot::{Mutex, RwLock};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::Log;
pub(crate) use access::{Access, AccessLog, Line, Origin};
pub(crate) use file::Unopened;
use file::{FILE, ToFile};
use journal::Journal;
use queue::Queue;
use sinks::{Sinks, Stderr, Target};

/// The longest time that the end of the process waits for the reader of the log.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

static SINKS: RwLock<Sinks> = RwLock::new(Sinks::DEFAULT);
static STDERR_QUEUE: LazyLock<Queue> = LazyLock::new(Queue::new);
static FILE_QUEUE: LazyLock<Queue> = LazyLock::new(Queue::new);
static JOURNAL_QUEUE: LazyLock<Queue> = LazyLock::new(Queue::new);
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts the log, or changes it to other settings. The file is opened again, too.
///
/// # Errors
/// The file cannot be opened. Nothing has changed then.
pub(crate) fn apply(log: &Log) -> Result<(), Unopened> {
    if let Some(path) = &log.file {
        FILE.open(path)?;
    }
    let sinks = Sinks::choose(log.format, log.file.is_some(), stderr());
    *SINKS.write() = sinks;
    if log.file.is_none() {
        // Lines that wait for the file are to be in it.
        FILE_QUEUE.flush(Instant::now() + FLUSH_LIMIT);
        FILE.close();
    }
    for target in [sinks.events.target, sinks.access.target] {
        start_writer(target);
    }
    let level = LevelFilter::from_level(log.level);
    match LEVEL.get() {
        Some(handle) => drop(handle.reload(level)),
        None => subscribe(level),
    }
    Ok(())
}

/// Makes the log the receiver of all events. Later calls do nothing.
fn subscribe(level: LevelFilter) {
    let (level, handle) = reload::Layer::new(level);
    let text = tracing_subscriber::fmt::layer()
        .with_ansi(crate::failure::is_coloured())
        .event_format(events::Text::new())
        .with_writer(events::ToQueue);
    if tracing_subscriber::registry().with(level).with(text).with(events::ToJournal).try_init().is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Opens the log file again, after it was moved away. If that is not possible, the earlier one
/// stays in use, and the log says so.
pub(crate) fn reopen() {
    let Some(path) = FILE.path() else {
        tracing::info!("the log goes to standard error, so there is no file to open again");
        return;
    };
    match FILE.open(&path) {
        Ok(()) => tracing::info!(file = %path.display(), "the log file was opened again"),
        Err(error) => tracing::error!("{error}; lines still go to the file that was opened before"),
    }
}

/// Gives the log file to another user, who will open it again.
pub(crate) fn give(user: u32, group: u32) -> io::Result<()> {
    FILE.give(user, group)
}

/// Waits until the lines are written, but no longer than a second.
pub(crate) fn flush() {
    let end = Instant::now() + FLUSH_LIMIT;
    [&STDERR_QUEUE, &FILE_QUEUE, &JOURNAL_QUEUE].into_iter().for_each(|queue| queue.flush(end));
}

/// The figures of the log.
pub(crate) fn metrics() -> Vec<Metric> {
    let help = "Log lines that were dropped, because the log was not read or could not be written.";
    let dropped = [&STDERR_QUEUE, &FILE_QUEUE, &JOURNAL_QUEUE].map(|queue| queue.dropped.get());
    vec![Metric::counter("dunlin_log_dropped_total", help, dropped.iter().sum::<u64>())]
}

fn sinks() -> Sinks {
    *SINKS.read()
}

fn queue(target: Target) -> &'static Queue {
    match target {
        Target::Stderr => &STDERR_QUEUE,
        Target::File => &FILE_QUEUE,
        Target::Journal => &JOURNAL_QUEUE,
    }
}

/// The standard error as it is now.
fn stderr() -> Stderr {
    static KIND: LazyLock<Stderr> = LazyLock::new(|| {
        if io::stderr().is_terminal() {
            return Stderr::Terminal;
        }
        let variable = std::env::var("JOURNAL_STREAM").ok();
        let is_journal = variable.is_some()
            && std::fs::metadata("/proc/self/fd/2")
                .is_ok_and(|file| sinks::is_journal(variable.as_deref(), file.dev(), file.ino()))
            && Journal::new(Path::new(journal::SOCKET)).is_ok();
        if is_journal { Stderr::Journal } else { Stderr::Other }
    });
    *KIND
}

/// Starts the thread that writes the lines for `target`. Later calls do nothing.
fn start_writer(target: Target) {
    static STARTED: Mutex<Vec<Target>> = Mutex::new(Vec::new());
    let mut started = STARTED.lock();
    if started.contains(&target) {
        return;
    }
    started.push(target);
    let writer: Box<dyn Write + Send> = match target {
        Target::Stderr => Box::new(io::stderr()),
        Target::File => Box::new(ToFile),
        Target::Journal => match Journal::new(Path::new(journal::SOCKET)) {
            Ok(journal) => Box::new(journal),
            Err(_) => Box::new(io::sink()),
        },
    };
    let report = |dropped| {
        tracing::warn!(
            target: events::DROPPED,
            dropped,
            "log lines were dropped, because the log was not read or could not be written"
        );
    };
    let write = move || queue(target).write_to(&mut { writer }, report);
    // Without the thread, the lines are dropped and counted.
    let _ = std::thread::Builder::new().name("dunlin-log".to_owned()).spawn(write);
}
