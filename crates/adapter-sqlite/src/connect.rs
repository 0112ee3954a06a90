//! The connect of the SQLite adapter.
