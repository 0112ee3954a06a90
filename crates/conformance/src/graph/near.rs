//! Neighbourhood queries.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{
    AsOf, Direction, Edge, EdgeDraft, EdgeFilter, ErrorKind, GraphBatch, GraphChange, Name,
    NeighbourQuery, Neighbourhood, Node, NodeDraft, NodeFilter, Reached, ValidAt,
};

use super::fixture::*;
use crate::{Rig, name};

fn query(seeds: &[&str], hops: u32) -> NeighbourQuery {
    NeighbourQuery {
        seeds: names(seeds),
        hops,
        direction: Direction::Both,
        relations: vec![],
        min_weight: None,
        kinds: vec![],
        as_of: AsOf::ALL,
        limit: limit(1_000),
    }
}

/// The answer by the definition, from everything that is seen.
fn by_definition(query: &NeighbourQuery, nodes: &[Node], edges: &[Edge]) -> Neighbourhood {
    let nodes: BTreeMap<&Name, &Node> = nodes.iter().map(|node| (&node.id, node)).collect();
    let follows = |edge: &Edge| {
        (query.relations.is_empty() || query.relations.contains(&edge.relation))
            && query.min_weight.is_none_or(|least| edge.weight >= least)
    };
    let edges: Vec<&Edge> = edges.iter().filter(|edge| follows(edge)).collect();
    let mut distance: BTreeMap<&Name, u32> = BTreeMap::new();
    for seed in query.seeds.iter().filter(|seed| nodes.contains_key(seed)) {
        distance.insert(seed, 0);
    }
    for hop in 1..=query.hops {
        let mut next = BTreeSet::new();
        for edge in &edges {
            for (here, there, way) in
                [(&edge.src, &edge.dst, Direction::Out), (&edge.dst, &edge.src, Direction::In)]
            {
                let allowed = query.direction == Direction::Both || query.direction == way;
                if !allowed || distance.get(here) != Some(&(hop - 1)) {
                    continue;
                }
                let Some(node) = nodes.get(there) else { continue };
                if query.kinds.is_empty() || query.kinds.contains(&node.kind) {
                    next.insert(there);
                }
            }
        }
        for there in next {
            distance.entry(there).or_insert(hop);
        }
    }
    let mut reached: Vec<_> = distance
        .into_iter()
        .map(|(id, distance)| Reached { node: nodes[id].clone(), distance })
        .collect();
    reached.sort_by(|a, b| (a.distance, &a.node.id).cmp(&(b.distance, &b.node.id)));
    let truncated = reached.len() > query.limit.as_usize();
    reached.truncate(query.limit.as_usize());
    let kept: BTreeSet<_> = reached.iter().map(|reached| &reached.node.id).collect();
    let mut among: Vec<_> = edges
        .into_iter()
        .filter(|edge| kept.contains(&edge.src) && kept.contains(&edge.dst))
        .cloned()
        .collect();
    among.sort_by_key(|edge| edge.id);
    Neighbourhood { nodes: reached.clone(), edges: among, truncated }
}

/// `GRAPH-NEAR-1`
pub async fn graph_near_1(rig: Rig<Graphs>) {
    let mut draw = Draw(2_026);
    let mut truncated = 0;
    for round in 0..12u32 {
        let g = graph(&rig, &format!("g{round}"));
        let count = 4 + draw.below(20);
        let id = |draw: &mut Draw| format!("n{}", draw.below(count));
        let mut times = vec![rig.clock.now().await];
        for _ in 0..3 {
            let mut changes: Vec<_> = (0..count)
                .map(|n| {
                    let kind = name(format!("k{}", draw.below(3)));
                    GraphChange::PutNode(NodeDraft { kind, ..draft(&format!("n{n}")) })
                })
                .collect();
            for _ in 0..count {
                let from = times[0].plus(rig.span(u32::try_from(draw.below(10)).unwrap()));
                let valid_from = draw.one_in(2).then_some(from);
                let valid_until = draw.one_in(2).then(|| from.plus(rig.span(3)));
                let relation = format!("r{}", draw.below(3));
                let weight = f64::from(u32::try_from(draw.below(10)).unwrap());
                let ends = (id(&mut draw), id(&mut draw));
                changes.push(GraphChange::PutEdge(EdgeDraft {
                    weight,
                    valid_from,
                    valid_until,
                    ..join(draw.next().into(), &ends.0, &relation, &ends.1)
                }));
            }
            apply(&rig.store, &g, changes).await;
            times.push(rig.clock.now().await);
            rig.clock.advance(1).await;
            let gone = vec![remove(&id(&mut draw))];
            rig.other.apply(&g, GraphBatch::new(gone)).await.unwrap();
            rig.clock.advance(1).await;
        }
        let history = rig.has(hexmem_ports::Capability::History);
        for _ in 0..12 {
            let valid = match draw.below(3) {
                0 => ValidAt::Now,
                1 => ValidAt::Any,
                _ => ValidAt::At(*draw.one_of(&times)),
            };
            let known = (history && draw.one_in(2)).then(|| *draw.one_of(&times));
            let asked = NeighbourQuery {
                seeds: (0..draw.below(3)).map(|_| name(id(&mut draw))).collect(),
                hops: u32::try_from(draw.below(5)).unwrap(),
                direction: *draw.one_of(&[Direction::Out, Direction::In, Direction::Both]),
                relations: if draw.one_in(2) { names(&["r0", "r2"]) } else { vec![] },
                min_weight: draw.one_in(3).then_some(4.0),
                kinds: if draw.one_in(3) { names(&["k0", "k1"]) } else { vec![] },
                as_of: AsOf { valid, known },
                limit: limit(if draw.one_in(3) { 3 } else { 1_000 }),
            };
            let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), asked.as_of, 1_000).await;
            let edges = all_edges(&rig.store, &g, &EdgeFilter::default(), asked.as_of, 1_000).await;
            let answer = rig.other.neighbourhood(&g, &asked).await.unwrap();
            assert_eq!(answer, by_definition(&asked, &nodes, &edges), "{asked:?}");
            truncated += u32::from(answer.truncated);
        }
    }
    assert!(truncated > 5, "the draws reach the limit");
}

/// `GRAPH-NEAR-2`
pub async fn graph_near_2(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let mut changes: Vec<_> = (0..40).map(|n| put(&format!("n{n:02}"))).collect();
    changes.extend((1..40).map(|n| {
        let (from, to) = (format!("n{:02}", n - 1), format!("n{n:02}"));
        link(n, &from, "next", &to)
    }));
    apply(&rig.store, &g, changes).await;
    let ask = async |query: NeighbourQuery| rig.other.neighbourhood(&g, &query).await.unwrap();
    let reached = |answer: &Neighbourhood| -> Vec<String> {
        answer.nodes.iter().map(|reached| reached.node.id.to_string()).collect()
    };
    let seeds = ask(query(&["zz", "n05", "n05", "n01"], 0)).await;
    assert_eq!(reached(&seeds), ["n01", "n05"]);
    assert!(!seeds.truncated);
    let none = Neighbourhood::default();
    assert_eq!(ask(query(&["zz"], 3)).await, none);
    assert_eq!(ask(query(&[], 3)).await, none);
    let absent = graph(&rig, "none");
    assert_eq!(rig.store.neighbourhood(&absent, &query(&["n01"], 3)).await.unwrap(), none);
    let near = ask(NeighbourQuery { limit: limit(4), ..query(&["n10"], 3) }).await;
    assert_eq!(reached(&near), ["n10", "n09", "n11", "n08"], "the farthest is cut");
    assert_eq!(numbers(&near.edges), [9, 10, 11], "edges among those that are left");
    assert!(near.truncated);
    let whole = ask(NeighbourQuery { limit: limit(7), ..query(&["n10"], 3) }).await;
    assert_eq!((whole.nodes.len(), whole.truncated), (7, false));
    let far = ask(query(&["n00"], 32)).await;
    assert_eq!(far.nodes.len(), 33);
    assert_eq!(far.nodes.last().unwrap().distance, 32);
    let error = rig.store.neighbourhood(&g, &query(&["n00"], 33)).await.expect_err("33 hops");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
