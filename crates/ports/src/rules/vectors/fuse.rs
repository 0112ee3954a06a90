//! Fusion of ranked lists.

use std::collections::HashMap;

use serde_json::Value;

use super::{better_first, narrow};
use crate::{Found, Limit, PointId};

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

/// What a fused search answers: the best `limit` of the fused `lists`, each as a search of that part alone gives it,
/// whose fused score is at least `min_score`. A payload is taken from the last list that has the point.
pub fn fuse_found(
    lists: Vec<Vec<Found>>,
    k: u32,
    min_score: Option<f32>,
    limit: Limit,
) -> Vec<Found> {
    let ranked: Vec<Vec<(PointId, f32)>> = lists
        .iter()
        .map(|list| list.iter().map(|found| (found.id, found.score)).collect())
        .collect();
    let mut payloads: HashMap<PointId, Value> =
        lists.into_iter().flatten().map(|found| (found.id, found.payload)).collect();
    fuse(&ranked, k)
        .into_iter()
        .filter(|fused| min_score.is_none_or(|least| fused.score >= least))
        .take(limit.as_usize())
        .map(|fused| Found {
            id: fused.id,
            score: fused.score,
            parts: fused.parts,
            payload: payloads.remove(&fused.id).unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
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

    #[test]
    fn what_is_found_keeps_its_payload() {
        let id = |n| PointId(Uuid::from_u128(n));
        let one = |n, score| Found {
            id: id(n),
            score,
            parts: vec![],
            payload: json!({ "n": n.to_string() }),
        };
        let lists = || vec![vec![one(1, 9.0), one(2, 8.0)], vec![one(2, 0.5), one(3, 0.4)], vec![]];
        let limit = |n| Limit::new(n).unwrap();
        let all = fuse_found(lists(), 60, None, limit(10));
        let told: Vec<_> = all.iter().map(|f| (f.id, f.payload["n"].as_str().unwrap())).collect();
        assert_eq!(told, [(id(2), "2"), (id(1), "1"), (id(3), "3")]);
        assert_eq!(all[0].parts, [Some(8.0), Some(0.5), None]);
        assert_eq!(fuse_found(lists(), 60, None, limit(2)), all[..2]);
        // The score that decides is the fused one, and a score equal to the least is enough.
        assert_eq!(fuse_found(lists(), 60, Some(all[1].score), limit(10)), all[..2]);
        assert_eq!(fuse_found(lists(), 60, Some(0.4), limit(10)), []);
        assert_eq!(fuse_found(vec![], 60, None, limit(10)), []);
    }
}
