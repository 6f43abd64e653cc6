//! The end-to-end tests are in `e2e/`.
