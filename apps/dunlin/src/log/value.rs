//! [`Value`]: the value of a field of an access line.

use std::borrow::Cow;
use std::time::Duration;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'v> {
    Text(Cow<'v, str>),
    /// The lines of a header field, of which there is one.
    Lines(Cow<'v, str>),
    Count(u64),
    Seconds(Duration),
}
