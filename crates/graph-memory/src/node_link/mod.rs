//! NetworkX node-link JSON, in and out, as a stream.
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
//! Times without an offset are read as UTC unless [`ImportOptions::naive_offset`] says otherwise. An undirected
//! graph's edges are read as they are written, from `source` to `target`; queries follow edges both ways unless
//! told otherwise.

mod element;
mod export;
mod import;
mod scan;

pub use element::Problem;
pub use export::{ExportOptions, ExportReport, export_node_link};
pub use import::{BadItems, ImportOptions, ImportReport, Progress, import_node_link};

/// Keys of a node that are no data.
pub(crate) const NODE_KEYS: [&str; 3] = ["id", "type", "created_at"];

/// Keys of an edge that are no data.
pub(crate) const EDGE_KEYS: [&str; 9] = [
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

/// What Kagura's files put on an edge that was invalidated, whatever the instant.
pub(crate) const WITHDRAWN: &str = "invalidated";

/// Where the instant is kept when it lies before the fact began: such a fact has an empty span.
pub(crate) const WITHDRAWN_AT: &str = "invalidated_at";

/// Before a data key that is reserved, or that begins so itself.
pub(crate) const ESCAPE: &str = "data.";

/// The key of `graph` that marks our own files, and the version of the form.
pub(crate) const MARK: &str = "hexmem";
pub(crate) const FORM: i64 = 1;
