//! A shared HTTP response cache by RFC 9111 as a layer.
