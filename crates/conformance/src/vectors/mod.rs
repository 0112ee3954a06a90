//! Cases of the vectors port.

mod agree;
mod broken;
mod collections;
mod corpus;
mod fixture;
mod nearest;
mod points;
mod reads;
mod records;
mod search;

use hexmem_ports::VectorStore;

use crate::Rig;

pub use agree::agree_through_changes;
pub use broken::broken;
pub use collections::*;
pub use corpus::vec_search_10;
pub use fixture::space;
pub use nearest::{nearest, recall};
pub use points::*;
pub use reads::*;
pub use records::*;
pub use search::*;

/// Registers the cases of the vectors port: `vectors_suite!(rig)`, or `vectors_suite!(rig, broken)` for the
/// doubles.
#[macro_export]
macro_rules! vectors_suite {
    ($make:path) => {
        $crate::vectors_suite!(@ [] $make);
    };
    ($make:path, broken) => {
        $crate::vectors_suite!(@ [broken] $make);
    };
    (@ [$($mode:ident)?] $make:path) => {
        $crate::suite!([$($mode)?] vectors, $make;
            vec_create_1, vec_create_2, vec_create_3,
            vec_info_1: [ExactCounts], vec_list_1, vec_drop_1, vec_alias_1, vec_alias_2,
            vec_upsert_1, vec_upsert_2, vec_upsert_3,
            vec_delete_1, vec_delete_2, vec_get_1,
            vec_search_1: [DenseVectors], vec_search_2: [SparseVectors],
            vec_search_3: [DenseVectors, SparseVectors], vec_search_4: [DenseVectors, SparseVectors],
            vec_search_5: [DenseVectors, SparseVectors], vec_search_6: [DenseVectors, SparseVectors],
            vec_search_7: [DenseVectors, SparseVectors], vec_search_8: [DenseVectors, SparseVectors],
            vec_search_9: [DenseIndex], vec_search_10: [SparseVectors],
            vec_scroll_1, vec_count_1: [ExactCounts], vec_facet_1: [ExactCounts],
            rec_kind_1: [Records], rec_scan_1: [Records], rec_scan_2: [Records],
            rec_restore_1: [Records], rec_restore_2: [Records], rec_restore_3: [Records],
            rec_restore_4: [Records],
        );
    };
}

type Vectors = Rig<dyn VectorStore>;
