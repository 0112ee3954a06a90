//! Cases of the graph port.
