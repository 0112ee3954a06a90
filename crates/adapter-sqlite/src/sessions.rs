//! The sessions of the SQLite adapter.
