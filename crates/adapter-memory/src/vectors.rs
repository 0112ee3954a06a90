//! The vectors port in process.
