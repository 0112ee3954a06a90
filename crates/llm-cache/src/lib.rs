//! Exact response cache for language models
