//! The outbox port in process.
