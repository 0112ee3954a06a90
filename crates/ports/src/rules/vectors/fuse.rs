//! Fusion of ranked lists.

use std::collections::HashMap;

use super::{better_first, narrow};
use crate::PointId;

/// A point of a fused list.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The point.
    pub id: PointId,
    /// The sum of `1 / (k + rank)` over the lists that have it, rank from 1, in the order of the lists.
    pub score: f32,
    /// Its score in each list.
    pub parts: Vec<Option<f32>>,
}

/// Reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009) of `lists`, each best first without repeats:
/// the union, best first.
pub fn fuse(lists: &[Vec<(PointId, f32)>], k: u32) -> Vec<Fused> {
    let mut found: HashMap<PointId, (f64, Vec<Option<f32>>)> = HashMap::new();
    for (part, list) in lists.iter().enumerate() {
        let mut rank = f64::from(k);
        for (id, score) in list {
            rank += 1.0;
            let (sum, parts) = found.entry(*id).or_insert_with(|| (0.0, vec![None; lists.len()]));
            *sum += 1.0 / rank;
            parts[part] = Some(*score);
        }
    }
    let mut fused: Vec<Fused> = found
        .into_iter()
        .map(|(id, (sum, parts))| Fused { id, score: narrow(sum), parts })
        .collect();
    fused.sort_by(|a, b| better_first((a.score, a.id), (b.score, b.id)));
    fused
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn vectors() {
        let id = |n| PointId(Uuid::from_u128(n));
        let lists = [vec![(id(1), 9.0), (id(2), 8.0)], vec![(id(2), 0.5), (id(3), 0.4)], vec![]];
        let fused = fuse(&lists, 60);
        assert_eq!(fused.iter().map(|f| f.id).collect::<Vec<_>>(), [id(2), id(1), id(3)]);
        assert!((fused[0].score - (1.0 / 61.0 + 1.0 / 62.0)).abs() < 1e-7);
        assert_eq!(fused[0].parts, [Some(8.0), Some(0.5), None]);
        assert_eq!(fused[2].parts, [None, Some(0.4), None]);
    }
}
