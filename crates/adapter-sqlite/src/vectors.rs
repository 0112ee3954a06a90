//! The vectors of the SQLite adapter.
