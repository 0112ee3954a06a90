//! The queue port in process.
