//! Leased, fenced command dispatch with results
