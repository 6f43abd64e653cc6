//! The field `Cache-Control` (RFC 9111 §5.2).
