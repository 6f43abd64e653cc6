//! [`Mapped`]: the content of a file, mapped into memory.

use std::fmt::Debug;
use std::os::fd::AsFd;

/// A file whose content never changes, such as a sealed memory file, and its content mapped into
/// memory.
///
/// A body of these bytes can be read like any other. A server can also have the kernel send the
/// bytes from the file, without copying them ([`Body::mapping`](crate::Body::mapping)).
///
/// [`AsRef`] returns the whole content of the file, always at the same address. No process may be
/// able to write to the file: a server would otherwise send other bytes than the body has.
pub trait Mapped: AsFd + AsRef<[u8]> + Debug + Send + Sync {}
