#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod assets;
mod budget;
mod checks;
mod coding;
mod connection;
mod error;
mod facts;
mod report;
mod visit;

pub use error::Error;
pub use report::{Finding, Grade, Report};
pub use visit::{Options, examine};
