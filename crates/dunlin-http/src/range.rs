//! Ranges (RFC 9110 §14).
