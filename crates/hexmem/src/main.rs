//! The command line of hexmem.

fn main() {}
