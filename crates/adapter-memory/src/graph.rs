//! The graph port in process.
