//! Neighbourhoods and ranks in memory beside petgraph over the same graph.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use hexmem_adapter_memory::{MemoryGraphs, MemoryOutbox, SystemClock};
use hexmem_graph_memory::{
    CommunityOptions, GraphMemory, Mirror, ProjectionQuery, RankOptions, RecallQuery, Seed,
};
use hexmem_ports::{
    Clock, Direction, Edge, EdgeDraft, EdgeId, Expect, GraphBatch, GraphChange, GraphId, Limit,
    Name, NeighbourQuery, Node, NodeDraft, Tenant,
};
use petgraph::Direction as Way;
use petgraph::algo::page_rank;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{EdgeRef as _, VisitMap, Visitable};
use serde_json::json;
use uuid::Uuid;

/// Edges of a graph of `nodes` nodes, three a node, some nodes with many: the same in every run.
fn edges(nodes: u32) -> Vec<(u32, u32)> {
    let mut state = 7_u64;
    let mut next = |below: u32| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap() % below
    };
    let mut edges = Vec::new();
    for node in 1..nodes {
        for _ in 0..3 {
            // The lower of two: earlier nodes have more edges.
            edges.push((node, next(node).min(next(nodes)).min(node - 1)));
        }
    }
    edges
}

fn id(node: u32) -> Name {
    Name::new(format!("node:{node}")).unwrap()
}

fn node(node: u32) -> GraphChange {
    GraphChange::PutNode(NodeDraft {
        id: id(node),
        kind: Name::new("topic").unwrap(),
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    })
}

fn edge(number: usize, src: u32, dst: u32) -> GraphChange {
    GraphChange::PutEdge(EdgeDraft {
        id: EdgeId(Uuid::from_u128(number as u128 + 1)),
        src: id(src),
        relation: Name::new("related_to").unwrap(),
        dst: id(dst),
        weight: 1.0,
        valid_from: None,
        valid_until: None,
        source: None,
        data: json!({}),
        created_at: None,
        expect: Expect::Any,
    })
}

/// The graph as hexmem holds it, and as petgraph alone does.
async fn both(nodes: u32) -> (Mirror, DiGraph<(), ()>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Arc::new(MemoryGraphs::new(clock.clone(), MemoryOutbox::new(clock.clone())));
    let address = GraphId::new(Tenant(Name::new("bench").unwrap()), Name::new("g").unwrap());
    let memory = GraphMemory::new(store, clock, address);
    let edges = edges(nodes);
    let mut changes: Vec<GraphChange> = (0..nodes).map(node).collect();
    changes.extend(edges.iter().enumerate().map(|(number, (src, dst))| edge(number, *src, *dst)));
    for part in changes.chunks(10_000) {
        memory.apply(GraphBatch::new(part.to_vec())).await.unwrap();
    }
    let mut bare = DiGraph::new();
    for _ in 0..nodes {
        bare.add_node(());
    }
    bare.extend_with_edges(edges);
    (memory.load().await.unwrap(), bare)
}

/// The loaded graph's nodes and edges in a graph of petgraph alone, in the order of their numbers.
fn owned(mirror: &Mirror) -> DiGraph<Node, Edge> {
    let mut graph = DiGraph::new();
    let places: HashMap<Name, NodeIndex> =
        mirror.nodes().map(|node| (node.id.clone(), graph.add_node(node))).collect();
    for edge in mirror.edges() {
        graph.add_edge(places[&edge.src], places[&edge.dst], edge);
    }
    graph
}

/// Breadth first, and copies of the nodes found and of the edges between them.
fn copying_bfs(
    graph: &DiGraph<Node, Edge>,
    start: NodeIndex,
    hops: u32,
    most: usize,
) -> (Vec<Node>, Vec<Edge>) {
    let found = bare_bfs(graph, start, hops, most);
    let mut inside = graph.visit_map();
    for index in &found {
        inside.visit(*index);
    }
    let nodes = found.iter().map(|index| graph[*index].clone()).collect();
    let edges = found.iter().flat_map(|index| graph.edges(*index));
    let edges = edges.filter(|edge| inside.is_visited(&edge.target()));
    (nodes, edges.map(|edge| edge.weight().clone()).collect())
}

/// Breadth first over a bare petgraph graph, either way: which nodes lie within `hops`, nearest first.
fn bare_bfs<N, E>(
    graph: &DiGraph<N, E>,
    start: NodeIndex,
    hops: u32,
    most: usize,
) -> Vec<NodeIndex> {
    let mut seen = graph.visit_map();
    seen.visit(start);
    let (mut found, mut level) = (vec![start], vec![start]);
    for _ in 0..hops {
        let mut next = Vec::new();
        for here in level {
            for way in [Way::Outgoing, Way::Incoming] {
                next.extend(graph.neighbors_directed(here, way).filter(|there| seen.visit(*there)));
            }
        }
        found.extend(&next);
        if found.len() >= most {
            break;
        }
        level = next;
    }
    found
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mirror, bare) = runtime.block_on(both(100_000));
    neighbourhood(&mut criterion, &mirror, &bare);
    large(&mut criterion, &mirror);
    let (mirror, bare) = runtime.block_on(both(1_000));
    ranks(&mut criterion, &mirror, &bare);
    criterion.final_summary();
}

/// Around a late node. Against a bare search stand the ids and distances, against one that copies what it finds
/// the nodes and edges.
fn neighbourhood(criterion: &mut Criterion, mirror: &Mirror, bare: &DiGraph<(), ()>) {
    const START: u32 = 90_000;
    let most = Limit::new(10_000).unwrap();
    let owned = owned(mirror);
    let copied = owned.node_indices().find(|index| owned[*index].id == id(START)).unwrap();
    for hops in [1, 2, 3] {
        let query = NeighbourQuery::new(vec![id(START)], hops, most);
        let input = format!("{hops} hops, {} nodes", mirror.reach(&query).unwrap().len());
        let mut group = criterion.benchmark_group("graph reach");
        group.bench_function(BenchmarkId::new("hexmem", &input), |bencher| {
            bencher.iter(|| black_box(mirror.reach(&query).unwrap()));
        });
        group.bench_function(BenchmarkId::new("petgraph bfs", &input), |bencher| {
            bencher.iter(|| black_box(bare_bfs(bare, NodeIndex::from(START), hops, 10_000)));
        });
        group.finish();
        let mut group = criterion.benchmark_group("graph neighbourhood");
        group.bench_function(BenchmarkId::new("hexmem", &input), |bencher| {
            bencher.iter(|| black_box(mirror.neighbours(&query).unwrap()));
        });
        group.bench_function(BenchmarkId::new("petgraph bfs and copies", &input), |bencher| {
            bencher.iter(|| black_box(copying_bfs(&owned, copied, hops, 10_000)));
        });
        group.finish();
    }
}

fn ranks(criterion: &mut Criterion, mirror: &Mirror, bare: &DiGraph<(), ()>) {
    let out = ProjectionQuery { direction: Direction::Out, ..ProjectionQuery::default() };
    let graph = mirror.project(&out).unwrap();
    // Rounds are the same on both sides: petgraph's has no tolerance.
    let options = RankOptions { tolerance: 1e-300, max_iterations: 20, ..RankOptions::default() };
    for (name, seeds) in
        [("graph rank", Vec::new()), ("graph personalised rank", vec![Seed::new(id(900))])]
    {
        let mut group = criterion.benchmark_group(name);
        group.bench_function(BenchmarkId::new("hexmem", "1k nodes, 20 rounds"), |bencher| {
            bencher.iter(|| black_box(graph.rank(&options, &seeds).unwrap()));
        });
        // Without seeds: it takes none.
        group.bench_function(BenchmarkId::new("petgraph", "1k nodes, 20 rounds"), |bencher| {
            bencher.iter(|| black_box(page_rank(bare, 0.85_f64, 20)));
        });
        group.finish();
    }
}

/// What petgraph has nothing for at this size.
fn large(criterion: &mut Criterion, mirror: &Mirror) {
    let query = ProjectionQuery::default();
    let graph = mirror.project(&query).unwrap();
    let mut group = criterion.benchmark_group("graph 100k nodes 300k edges");
    group.bench_function("project", |bencher| {
        bencher.iter(|| black_box(mirror.project(&query).unwrap()));
    });
    group.bench_function("rank to 1e-8", |bencher| {
        bencher.iter(|| black_box(graph.rank(&RankOptions::default(), &[]).unwrap()));
    });
    let recall = RecallQuery { hops: 2, ..RecallQuery::new(vec![Seed::new(id(90_000))]) };
    group.bench_function("recall, 2 hops", |bencher| {
        bencher.iter(|| black_box(mirror.recall(&recall).unwrap()));
    });
    group.bench_function("communities", |bencher| {
        bencher.iter(|| black_box(graph.communities(&CommunityOptions::default()).unwrap()));
    });
    group.finish();
}
