//! A pooled outbound HTTP client and a reverse proxy service.
