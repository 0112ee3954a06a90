//! The embed port in process.
