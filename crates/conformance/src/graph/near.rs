//! Neighbourhood queries.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{
    AsOf, Cursor, Direction, Edge, EdgeDraft, EdgeFilter, ErrorKind, Filter, GraphBatch,
    GraphChange, Name, NeighbourQuery, Neighbourhood, Node, NodeDraft, NodeFilter, Reached,
    ValidAt, Via,
};
use serde_json::json;

use super::fixture::*;
use crate::{Rig, name};

fn query(seeds: &[&str], hops: u32) -> NeighbourQuery {
    NeighbourQuery { as_of: AsOf::ALL, ..NeighbourQuery::new(names(seeds), hops, limit(1_000)) }
}

/// The answer by the definition, from everything that is seen.
fn by_definition(
    query: &NeighbourQuery,
    nodes: &[Node],
    edges: &[Edge],
) -> (Vec<Reached>, Vec<Edge>, bool) {
    let nodes: BTreeMap<&Name, &Node> = nodes.iter().map(|node| (&node.id, node)).collect();
    let follows = |edge: &Edge| {
        (query.relations.is_empty() || query.relations.contains(&edge.relation))
            && query.min_weight.is_none_or(|least| edge.weight >= least)
            && (query.sources.is_empty()
                || query.sources.iter().any(|source| edge.source.as_ref() == Some(source)))
            && query.edge_data.as_ref().is_none_or(|filter| filter.matches(&edge.data))
    };
    let enters = |node: &Node| {
        (query.kinds.is_empty() || query.kinds.contains(&node.kind))
            && query.node_data.as_ref().is_none_or(|filter| filter.matches(&node.data))
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
                if enters(node) {
                    next.insert(there);
                }
            }
        }
        for there in next {
            distance.entry(there).or_insert(hop);
        }
    }
    // Every edge that leads to a node from one nearer; the smallest id is the step.
    let step = |id: &Name| {
        let out = edges.iter().map(|edge| (&edge.src, &edge.dst, edge.id, Direction::Out));
        let back = edges.iter().map(|edge| (&edge.dst, &edge.src, edge.id, Direction::In));
        out.chain(back)
            .filter(|(.., way)| query.direction == Direction::Both || query.direction == *way)
            .filter(|(from, to, ..)| {
                *to == id && distance.get(from).is_some_and(|near| near + 1 == distance[id])
            })
            .min_by_key(|(_, _, edge, _)| *edge)
            .map(|(from, _, edge, _)| Via { from: from.clone(), edge })
    };
    let mut reached: Vec<_> = distance
        .iter()
        .map(|(id, distance)| Reached {
            node: nodes[id].clone(),
            distance: *distance,
            via: step(id),
        })
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
    (reached.clone(), among, truncated)
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
                    let data = json!({ "hue": draw.below(4) });
                    GraphChange::PutNode(NodeDraft { kind, data, ..draft(&format!("n{n}")) })
                })
                .collect();
            for _ in 0..count {
                let from = times[0].plus(rig.span(u32::try_from(draw.below(10)).unwrap()));
                let valid_from = draw.one_in(2).then_some(from);
                let valid_until = draw.one_in(2).then(|| from.plus(rig.span(3)));
                let relation = format!("r{}", draw.below(3));
                let weight = f64::from(u32::try_from(draw.below(10)).unwrap());
                let ends = (id(&mut draw), id(&mut draw));
                let source = draw.one_in(2).then(|| name(format!("s{}", draw.below(3))));
                let data =
                    if draw.one_in(2) { json!({ "sure": draw.below(3) }) } else { json!({}) };
                changes.push(GraphChange::PutEdge(EdgeDraft {
                    weight,
                    valid_from,
                    valid_until,
                    source,
                    data,
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
                sources: if draw.one_in(4) { names(&["s0", "s1"]) } else { vec![] },
                edge_data: draw.one_in(4).then(|| filter(&json!({"field": "sure", "gte": 1}))),
                kinds: if draw.one_in(3) { names(&["k0", "k1"]) } else { vec![] },
                node_data: draw
                    .one_in(4)
                    .then(|| filter(&json!({"field": "hue", "in": [0, 2, 3]}))),
                as_of: AsOf { valid, known },
                limit: limit(if draw.one_in(3) { 3 } else { 1_000 }),
                cursor: None,
            };
            let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), asked.as_of, 1_000).await;
            let edges = all_edges(&rig.store, &g, &EdgeFilter::default(), asked.as_of, 1_000).await;
            let answer = rig.other.neighbourhood(&g, &asked).await.unwrap();
            let cut = answer.truncated();
            let expected = by_definition(&asked, &nodes, &edges);
            assert_eq!((answer.nodes, answer.edges, cut), expected, "{asked:?}");
            truncated += u32::from(cut);
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
    assert!(!seeds.truncated());
    let none = Neighbourhood::default();
    assert_eq!(ask(query(&["zz"], 3)).await, none);
    assert_eq!(ask(query(&[], 3)).await, none);
    let absent = graph(&rig, "none");
    assert_eq!(rig.store.neighbourhood(&absent, &query(&["n01"], 3)).await.unwrap(), none);
    let near = ask(NeighbourQuery { limit: limit(4), ..query(&["n10"], 3) }).await;
    assert_eq!(reached(&near), ["n10", "n09", "n11", "n08"], "the farthest is cut");
    assert_eq!(numbers(&near.edges), [9, 10, 11], "edges among those that are left");
    assert!(near.truncated());
    let whole = ask(NeighbourQuery { limit: limit(7), ..query(&["n10"], 3) }).await;
    assert_eq!((whole.nodes.len(), whole.truncated()), (7, false));
    let far = ask(query(&["n00"], 32)).await;
    assert_eq!(far.nodes.len(), 33);
    assert_eq!(far.nodes.last().unwrap().distance, 32);
    let error = rig.store.neighbourhood(&g, &query(&["n00"], 33)).await.expect_err("33 hops");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// `GRAPH-NEAR-3`
pub async fn graph_near_3(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let mut changes: Vec<_> = ["a", "b", "c", "d", "e"].map(put).into();
    changes.extend([
        link(5, "a", "r", "b"),
        link(2, "a", "s", "b"),
        link(3, "b", "r", "b"),
        link(7, "a", "r", "c"),
        link(9, "b", "r", "d"),
        link(8, "c", "r", "d"),
        link(1, "d", "r", "c"),
        link(6, "e", "r", "a"),
    ]);
    apply(&rig.store, &g, changes).await;
    let steps = |found: &Neighbourhood| -> Vec<(String, Option<(String, u128)>)> {
        let via = |via: &Via| (via.from.to_string(), via.edge.0.as_u128());
        let nodes = found.nodes.iter();
        nodes.map(|n| (n.node.id.to_string(), n.via.as_ref().map(via))).collect()
    };
    let step = |id: &str, from: &str, edge| (id.to_owned(), Some((from.to_owned(), edge)));
    let seed = |id: &str| (id.to_owned(), None);
    let out = NeighbourQuery { direction: Direction::Out, ..query(&["a"], 3) };
    let found = rig.other.neighbourhood(&g, &out).await.unwrap();
    let expected = [seed("a"), step("b", "a", 2), step("c", "a", 7), step("d", "c", 8)];
    assert_eq!(steps(&found), expected, "of parallel edges and of two ways the smallest id");
    let way: Vec<u128> =
        found.path_to(&name("d")).unwrap().iter().map(|via| via.edge.0.as_u128()).collect();
    assert_eq!(way, [7, 8]);
    assert_eq!(found.path_to(&name("a")).map(|way| way.len()), Some(0));
    assert_eq!(found.path_to(&name("e")), None);
    let against = NeighbourQuery { direction: Direction::In, ..query(&["d"], 3) };
    let found = rig.other.neighbourhood(&g, &against).await.unwrap();
    let back = [seed("d"), step("b", "d", 9), step("c", "d", 8), step("a", "b", 2)];
    assert_eq!(steps(&found), [&back[..], &[step("e", "a", 6)]].concat());
    let found = rig.other.neighbourhood(&g, &query(&["d", "e"], 1)).await.unwrap();
    let both = [step("a", "e", 6), step("b", "d", 9), step("c", "d", 1)];
    assert_eq!(steps(&found), [&[seed("d"), seed("e")][..], &both].concat());
    let cut = NeighbourQuery { limit: limit(3), ..out };
    let found = rig.other.neighbourhood(&g, &cut).await.unwrap();
    assert_eq!(steps(&found), expected[..3]);
}

/// `GRAPH-NEAR-4`
pub async fn graph_near_4(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let mut draw = Draw(77);
    let mut changes: Vec<_> = (0..60).map(|n| put_n(&format!("n{n:02}"), n % 5)).collect();
    for n in 0..140u128 {
        let ends = (format!("n{:02}", draw.below(60)), format!("n{:02}", draw.below(60)));
        changes.push(link(n, &ends.0, &format!("r{}", draw.below(3)), &ends.1));
    }
    apply(&rig.store, &g, changes).await;
    let questions = [
        query(&["n00", "n07", "zz"], 4),
        NeighbourQuery { direction: Direction::Out, ..query(&["n01"], 32) },
        NeighbourQuery {
            node_data: Some(filter(&json!({"not": {"field": "n", "eq": 3}}))),
            relations: names(&["r0", "r1"]),
            ..query(&["n02"], 5)
        },
        query(&["zz"], 3),
    ];
    for asked in questions {
        let whole = rig.other.neighbourhood(&g, &asked).await.unwrap();
        assert!(!whole.truncated());
        for rows in [1, 2, 7, 1_000] {
            let mut page = NeighbourQuery { limit: limit(rows), ..asked.clone() };
            let (mut nodes, mut edges) = (Vec::new(), Vec::new());
            loop {
                let found = rig.other.neighbourhood(&g, &page).await.unwrap();
                assert!(found.nodes.len() <= rows as usize, "the limit holds");
                nodes.extend(found.nodes);
                edges.extend(found.edges);
                assert!(nodes.len() <= whole.nodes.len(), "the pages do not end");
                page.cursor = found.next;
                if page.cursor.is_none() {
                    break;
                }
            }
            edges.sort_by_key(|edge| edge.id);
            assert_eq!((&nodes, &edges), (&whole.nodes, &whole.edges), "by {rows}: {asked:?}");
        }
    }
    for text in ["", "x", "1", "-1:a", "1:", "4294967296:a"] {
        let foreign = NeighbourQuery { cursor: Some(Cursor(text.into())), ..query(&["n00"], 2) };
        let error = rig.store.neighbourhood(&g, &foreign).await.expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}: {error}");
    }
}

fn filter(json: &serde_json::Value) -> Filter {
    Filter::parse(json).unwrap()
}
