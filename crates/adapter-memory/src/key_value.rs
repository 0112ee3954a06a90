//! The key_value port in process.
