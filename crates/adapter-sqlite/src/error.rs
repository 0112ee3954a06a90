//! The error of the SQLite adapter.
