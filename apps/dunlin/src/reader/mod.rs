//! The reading of configuration files: tables, values, and errors with their places.
//!
//! Nothing here knows a particular section or key. [`config`](crate::config) and
//! [`routes`](crate::routes) are written with these parts.

mod document;
mod file;
mod fingerprint;
mod methods;
mod names;
mod pattern;
mod secret;
mod section;
mod source;
mod units;
mod value;

pub(crate) use document::{Document, Names, nulls, others_can_read};
pub(crate) use file::{MAX_CONFIGURATION, MAX_NAMED, read_file, read_text};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use methods::Methods;
pub(crate) use names::{Field, Group, media_type, upstream_url};
pub(crate) use pattern::{Pattern, Piece};
pub(crate) use section::Section;
pub(crate) use source::{Diagnostic, Hidden, Source, Span};
pub(crate) use units::{Size, show};
pub(crate) use value::{Errors, Read, Value, nearest, one_of};
