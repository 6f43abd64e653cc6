//! Host names: the ones that a route is for, and the router that finds routes by them.

mod name;
mod router;

pub(crate) use name::{HostPattern, without_port};
pub(crate) use router::HostRouter;
