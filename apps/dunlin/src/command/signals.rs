//! The signals of the process.
//!
//! | signal | effect |
//! |---|---|
//! | TERM, INT, QUIT | the service stops in order; once more, after a second, cuts what is left |
//! | HUP | the configuration is read again; a repeat within a second counts once |
//! | USR1 | the log file is opened again |
//! | USR2, WINCH | none |

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::reload::Reloads;

/// The time in which a repeated signal counts once: process managers and GNU `timeout` send two.
const REPEAT: Duration = Duration::from_secs(1);

/// The signals that the process answers.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    user1: Signal,
    user2: Signal,
    window: Signal,
    /// The time of the last signal to stop.
    stopped: Option<Instant>,
    /// The time of the last signal to reload.
    reloaded: Option<Instant>,
}

// === impl Signals ===

impl Signals {
    /// Takes the signals over from the system, which would end the process for most of them.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            window: signal(SignalKind::window_change())?,
            stopped: None,
            reloaded: None,
        })
    }

    /// Waits for a signal to stop, and gives its name. Meanwhile it passes on those to reload.
    pub(crate) async fn stop(&mut self, reloads: &Reloads) -> &'static str {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.quit.recv() => "SIGQUIT",
                _ = self.hang_up.recv() => {
                    if is_first(&mut self.reloaded) {
                        tracing::info!("SIGHUP: reading the configuration again");
                        reloads.request();
                    }
                    continue;
                }
                _ = self.user1.recv() => {
                    crate::log::reopen();
                    continue;
                }
                _ = self.user2.recv() => continue,
                _ = self.window.recv() => continue,
            };
            if is_first(&mut self.stopped) {
                return name;
            }
        }
    }
}

/// Returns `true` unless the last signal came a moment ago.
fn is_first(last: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let is_first = last.is_none_or(|last| now.duration_since(last) >= REPEAT);
    if is_first {
        *last = Some(now);
    }
    is_first
}
