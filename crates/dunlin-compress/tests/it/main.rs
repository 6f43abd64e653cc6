//! Tests of the layers around a service.

#![allow(clippy::unwrap_used, reason = "a helper that fails should fail the test")]

mod codings;
mod decompress;
mod heads;
mod kept;
mod negotiation;
mod recode;
mod sample;
mod stored;
mod streams;
mod support;
