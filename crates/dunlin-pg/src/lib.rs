//! PostgreSQL for web services: pipelined reads, clean transactions, rows straight to JSON, LISTEN that reports its gaps.

pub mod json;
pub mod param;
