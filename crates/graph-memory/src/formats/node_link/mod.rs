//! `NetworkX` node-link JSON.
//!
//! The form: one object with `nodes` and `links` (or `edges`, NetworkX's newer default), `directed`, `multigraph`
//! and `graph`. Attributes lie flat beside the reserved keys:
//!
//! | | reserved | meaning here |
//! |---|---|---|
//! | node | `id` | a text; an integer is read as its digits |
//! | | `type` | the type; `node` where it is missing |
//! | | `created_at` | when it came to be |
//! | edge | `source`, `target` | the ends |
//! | | `key` | tells parallel edges apart; in our own files the edge's id |
//! | | `type` | the relation; `related_to` where it is missing |
//! | | `weight` | 1 where it is missing |
//! | | `created_at`, `valid_from`, `valid_until` | when it came to be, from when and until when it holds |
//! | | `evidence` | where the fact comes from: `source` means the end in this form |
//!
//! Everything else is data. Our own files say so in `graph.hexmem`; there an attribute whose name is reserved is
//! written as `data.NAME`, so that a graph comes back exactly.
//!
//! The files in which a store keeps graphs as node-link JSON are read too: `graph.hexmem` there has the store's
//! bookkeeping, and an element's data lies under `data`.
//!
//! Times without an offset are read as UTC unless [`ImportOptions::naive_offset`](super::ImportOptions::naive_offset) says otherwise. An undirected
//! graph's edges are read as they are written, from `source` to `target`; queries follow edges both ways unless
//! told otherwise.

mod read;
mod scan;
mod write;

pub(super) use read::Writer;
pub(super) use scan::{Header, Scanner};
pub(super) use write::NodeLink;

/// Keys of a node that are no data.
const NODE_KEYS: [&str; 3] = ["id", "type", "created_at"];

/// Keys of an edge that are no data.
const EDGE_KEYS: [&str; 9] = [
    "source",
    "target",
    "key",
    "type",
    "weight",
    "created_at",
    "valid_from",
    "valid_until",
    "evidence",
];

/// Before a data key that is reserved, or that begins so itself.
const ESCAPE: &str = "data.";

/// The key of `graph` that marks our own files, and the version of the form.
const MARK: &str = "hexmem";
const FORM: i64 = 1;
