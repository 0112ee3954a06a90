//! The key_value of the SQLite adapter.
