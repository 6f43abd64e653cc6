//! The process itself: what it uses, who it runs as, what it may do, and who manages it.

mod account;
mod manager;
mod restrict;
mod usage;
mod watchdog;

pub(crate) use account::Account;
pub(crate) use manager::Manager;
pub(crate) use restrict::restrict;
pub(crate) use usage::{Usage, usage};
pub(crate) use watchdog::Watchdog;
