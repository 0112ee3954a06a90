//! The graph of the SQLite adapter.
