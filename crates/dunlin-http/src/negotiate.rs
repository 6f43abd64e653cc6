//! Content negotiation of codings (RFC 9110 §12.5.3).
