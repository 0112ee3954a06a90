//! Chunk, index, search and evaluate documents
