//! The layers as a service sees them, by section of the RFCs.

#![allow(clippy::unwrap_used, reason = "what a helper cannot do fails the test")]

mod codings;
mod decompress;
mod heads;
mod kept;
mod negotiation;
mod ready;
mod recode;
mod sample;
mod streams;
mod support;
