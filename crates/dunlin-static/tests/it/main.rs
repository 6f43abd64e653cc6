//! Tests of the service over real folders. Those about HTTP are filed by section of RFC 9110.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: helpers and whole files of them")]
#![allow(clippy::disallowed_methods, reason = "files on disk have the system's time")]

mod change;
mod grows;
mod large;
mod listing;
mod resolution;
mod s12_variants;
mod s13_preconditions;
mod s14_ranges;
mod s9_methods;
mod settings;
mod support;
