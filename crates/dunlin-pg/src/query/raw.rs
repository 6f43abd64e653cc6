//! [`Raw`]: a column as the body of an answer.

use http::HeaderValue;

/// A row whose answer is the value of one column, as it is: the bytes of a `bytea`, or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The column with the body.
    pub body: Box<str>,
    /// The media type of the body.
    pub media_type: MediaTypeSource,
}

/// The source of the media type of a [`Raw`] answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaTypeSource {
    /// A column with a text. If it is NULL or no valid value, the type is
    /// `application/octet-stream`.
    Column(Box<str>),
    /// The same for each row.
    Fixed(HeaderValue),
}
