//! Cases of the graph store.

mod apply;
mod broken;
pub mod crowd;
mod ever;
mod fixture;
mod life;
mod log;
pub mod model;
mod near;
mod orphan;
mod read;
mod records;

pub use apply::*;
pub use broken::broken;
pub use ever::*;
pub use life::*;
pub use log::*;
pub use near::*;
pub use orphan::*;
pub use read::*;
pub use records::*;

/// Registers the graph suite: `graph_suite!(make)` with `async fn make() -> Rig<dyn GraphStore>`, or with
/// `, broken` each case against the double that breaks its clause.
#[macro_export]
macro_rules! graph_suite {
    ($make:path) => {
        $crate::__graph_cases!([] $make);
    };
    ($make:path, broken) => {
        $crate::__graph_cases!([broken] $make);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __graph_cases {
    ($mode:tt $make:path) => {
        $crate::suite!($mode graph, $make;
            graph_apply_1, graph_apply_2, graph_apply_3, graph_apply_4, graph_apply_5,
            graph_apply_6, graph_apply_7, graph_apply_8, graph_apply_9,
            graph_apply_10: [Effects], graph_apply_11,
            graph_log_1, graph_log_2, graph_log_3,
            graph_head_1,
            graph_nodes_1: [History], graph_nodes_2,
            graph_edges_1,
            graph_find_1, graph_find_2, graph_find_3,
            graph_ever_1: [History],
            graph_near_1: [NeighbourhoodInStore], graph_near_2: [NeighbourhoodInStore],
            graph_near_3: [NeighbourhoodInStore], graph_near_4: [NeighbourhoodInStore],
            graph_hist_1: [History],
            graph_stats_1: [ExactCounts],
            graph_list_1,
            graph_delete_1,
            graph_compact_1,
            rec_kind_1: [Records], rec_scan_1: [Records], rec_scan_2: [Records],
            rec_restore_1: [Records], rec_restore_2: [Records], rec_restore_3: [Records],
            rec_restore_4: [Records],
            outbox_lease_1: [Effects], outbox_lease_2: [Effects], outbox_lease_3: [Effects],
            outbox_lease_4: [Effects],
            outbox_ack_1: [Effects], outbox_ack_2: [Effects],
            outbox_depth_1: [Effects],
        );
    };
}
