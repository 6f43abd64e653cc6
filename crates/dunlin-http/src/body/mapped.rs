//! [`Mapped`]: bytes in memory that are also the content of a file.

use std::fmt::Debug;
use std::os::fd::AsFd;

/// A file whose content never changes again, such as a sealed one that has no name, and its content
/// mapped into memory.
///
/// Bytes of it are sent like any others by whoever knows nothing of it. A server that finds it
/// beside them ([`Body::mapping`](crate::Body::mapping)) may have the kernel send the same bytes
/// from the file, without copying them.
///
/// What [`AsRef`] gives is the whole content of the descriptor, from its beginning, and stays where
/// it is in memory. If the two ever differ, clients get other bytes than the body has; so nobody
/// may be able to write to the file.
pub trait Mapped: AsFd + AsRef<[u8]> + Debug + Send + Sync {}
