//! Cases of the vectors port.
