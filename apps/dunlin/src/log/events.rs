//! Lines about the service: the events of `tracing`.

use std::fmt;
use std::io::{self, Write};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{self, Format, FormatEvent, FormatFields, Full, Json};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::queue::Urgency;
use super::sinks::{Form, Target};
use super::{journal, queue, sinks};

/// The target of the events that report dropped lines.
pub(super) const DROPPED: &str = "dunlin::log::dropped";

/// The text of an event, in the form that holds at the time.
pub(super) struct Text {
    pretty: Format<Full>,
    json: Format<Json>,
}

/// The writer of texts.
pub(super) struct ToQueue;

/// One line.
pub(super) struct Line {
    urgency: Urgency,
}

/// Sends events to the journal, if it is the form that holds at the time.
pub(super) struct ToJournal;

// === impl Text ===

impl Text {
    pub(super) fn new() -> Self {
        let json = Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false);
        Self { pretty: Format::default().with_target(false), json }
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut out: format::Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let sink = sinks().events;
        match sink.form {
            Form::Pretty if sink.target == Target::Stderr => self.pretty.format_event(ctx, out, event),
            Form::Pretty => {
                // A file has no colours.
                let mut plain = String::new();
                self.pretty.format_event(ctx, format::Writer::new(&mut plain), event)?;
                out.write_str(&plain)
            }
            Form::Json | Form::Combined => self.json.format_event(ctx, out, event),
            Form::Journal => Ok(()),
        }
    }
}

// === impl ToQueue ===

impl<'w> MakeWriter<'w> for ToQueue {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line { urgency: Urgency::Later }
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Line {
        Line { urgency: urgency(meta) }
    }
}

fn urgency(meta: &Metadata<'_>) -> Urgency {
    match *meta.level() {
        _ if meta.target() == DROPPED => Urgency::Report,
        Level::ERROR | Level::WARN => Urgency::Now,
        _ => Urgency::Later,
    }
}

impl Write for Line {
    /// Takes a whole line: the subscriber formats it first.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        queue(sinks().events.target).push(line, self.urgency);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl ToJournal ===

impl<S: Subscriber> Layer<S> for ToJournal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let sink = sinks().events;
        if sink.form == Form::Journal {
            let mut entry = Vec::new();
            journal::event(&mut entry, event);
            queue(sink.target).push(&entry, urgency(event.metadata()));
        }
    }
}
