//! Cases of the queue port.
