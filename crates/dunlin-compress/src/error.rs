//! [`Error`].

use dunlin_http::negotiate::Coding;

/// The reason why a setting is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A level is outside its scale.
    #[error("level {level} of {coding} is invalid: use {min} to {max}")]
    Level {
        /// The coding.
        coding: Coding,
        /// The configured level.
        level: u8,
        /// The lowest level.
        min: u8,
        /// The highest level.
        max: u8,
    },
    /// An entry of [`Types`](crate::Types) is not a pattern of media types.
    #[error("{0:?} is not a media type: use `type/subtype`, `type/*` or `*/*+suffix`, with or without `!` before it")]
    Type(String),
}
