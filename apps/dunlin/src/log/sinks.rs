//! The forms of lines, and the places that they go to. Pure.

use crate::config::Format;

/// The forms and the places of the two kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sinks {
    /// Lines about the service.
    pub(super) events: Sink,
    /// Lines about requests.
    pub(super) access: Sink,
}

/// The form of a line, and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sink {
    pub(super) form: Form,
    pub(super) target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Pretty,
    Json,
    /// nginx's format of this name.
    Combined,
    /// The native protocol of systemd's journal.
    Journal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stderr,
    File,
    Journal,
}

/// The standard error, as far as it decides about the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stderr {
    Terminal,
    /// systemd's journal reads it.
    Journal,
    Other,
}

// === impl Sinks ===

impl Sinks {
    pub(super) const DEFAULT: Self = Self::choose(Format::Json, false, Stderr::Other);

    pub(super) const fn choose(format: Format, has_file: bool, stderr: Stderr) -> Self {
        let target = if has_file { Target::File } else { Target::Stderr };
        let service = match stderr {
            Stderr::Terminal => Sink { form: Form::Pretty, target: Target::Stderr },
            Stderr::Journal => Sink { form: Form::Journal, target: Target::Journal },
            Stderr::Other => Sink { form: Form::Json, target: Target::Stderr },
        };
        match format {
            Format::Pretty => Self::same(Sink { form: Form::Pretty, target }),
            Format::Json => Self::same(Sink { form: Form::Json, target }),
            Format::Auto if has_file => Self::same(Sink { form: Form::Json, target }),
            Format::Auto => Self::same(service),
            // Tools that read the format know no other line.
            Format::Combined => Self { events: service, access: Sink { form: Form::Combined, target } },
        }
    }

    const fn same(sink: Sink) -> Self {
        Self { events: sink, access: sink }
    }
}

/// Returns `true` if `$JOURNAL_STREAM` names the file with these numbers (systemd.exec(5)).
pub(super) fn is_journal(variable: Option<&str>, device: u64, inode: u64) -> bool {
    variable
        .and_then(|text| text.split_once(':'))
        .is_some_and(|(one, other)| one.parse() == Ok(device) && other.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_places() {
        #[track_caller]
        fn check(format: Format, has_file: bool, stderr: Stderr, events: (Form, Target), access: (Form, Target)) {
            let sinks = Sinks::choose(format, has_file, stderr);
            assert_eq!((sinks.events.form, sinks.events.target), events);
            assert_eq!((sinks.access.form, sinks.access.target), access);
        }
        let json = (Form::Json, Target::Stderr);
        let journal = (Form::Journal, Target::Journal);
        check(Format::Auto, false, Stderr::Other, json, json);
        check(Format::Auto, false, Stderr::Terminal, (Form::Pretty, Target::Stderr), (Form::Pretty, Target::Stderr));
        check(Format::Auto, false, Stderr::Journal, journal, journal);
        check(Format::Json, false, Stderr::Journal, json, json);
        check(Format::Auto, true, Stderr::Terminal, (Form::Json, Target::File), (Form::Json, Target::File));
        check(Format::Combined, true, Stderr::Journal, journal, (Form::Combined, Target::File));
        check(Format::Combined, false, Stderr::Other, json, (Form::Combined, Target::Stderr));
    }

    #[test]
    fn the_journal_is_known_by_its_numbers() {
        assert!(is_journal(Some("9:4711"), 9, 4711));
        for other in [None, Some("9:4712"), Some("8:4711"), Some(""), Some("9"), Some("9:x")] {
            assert!(!is_journal(other, 9, 4711), "{other:?}");
        }
    }
}
