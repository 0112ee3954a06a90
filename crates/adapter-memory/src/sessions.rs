//! The sessions port in process.
