//! The log: pretty on a terminal, JSON lines otherwise, on the standard error.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Format, Log};

/// Starts it. Later calls do nothing.
pub(crate) fn start(log: &Log) {
    let terminal = std::io::stderr().is_terminal();
    let pretty = match log.format {
        Format::Auto => terminal,
        Format::Pretty => true,
        Format::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if pretty {
        layer.with_ansi(crate::cli::coloured()).with_target(false).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    let level = LevelFilter::from_level(log.level);
    let _ = tracing_subscriber::registry().with(layer.with_filter(level)).try_init();
}
