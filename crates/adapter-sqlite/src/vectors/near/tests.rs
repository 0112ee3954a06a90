//! Graphs held against comparing everything.

use hexmem_conformance::Numbers;
use hexmem_ports::Distance;
use proptest::prelude::*;

use super::NONE;
use super::code::Form;
use super::graph::{Graph, Near, nearest};
use crate::Precision;

fn graph(form: Form, vectors: &[Vec<f32>]) -> Graph {
    let mut graph = Graph::new(form);
    let new: Vec<_> = (0u32..).zip(vectors).map(|(ord, v)| (ord, form.encode(v))).collect();
    for new in new.chunks(600) {
        graph.insert(new, 2);
    }
    assert!(graph.is_whole());
    graph
}

/// How many of 100 of the ten nearest a walk finds among those that `accept` takes.
fn recall(graph: &Graph, dimension: u32, accept: impl Fn(u32) -> bool + Copy) -> usize {
    let mut numbers = Numbers(77);
    let (mut hits, mut all) = (0, 0);
    for _ in 0..30 {
        let query = graph.form().encode(&numbers.anywhere(dimension));
        let mut exact = graph.scan(query.code(), accept);
        nearest(&mut exact, 10);
        let found = graph.search(query.code(), 31, 128, accept);
        assert!(found.is_sorted_by(|a, b| a >= b) && found.iter().all(|near| accept(near.1)));
        all += exact.len();
        hits += exact.iter().filter(|near| found.contains(near)).count();
    }
    hits * 100 / all.max(1)
}

/// Random vectors are the hardest there are: none is much nearer than another.
#[test]
fn finds_the_nearest_of_random_vectors() {
    let mut numbers = Numbers(1);
    let vectors: Vec<Vec<f32>> = (0..900).map(|_| numbers.anywhere(32)).collect();
    for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
        let graph = graph(Form::of(distance, 32, Precision::I8), &vectors);
        for (share, accept) in [("all", 1), ("half", 2), ("a tenth", 10)] {
            let found = recall(&graph, 32, |ord| ord.is_multiple_of(accept));
            assert!(found >= 98, "{found} of 100 of {share}, {distance:?}");
        }
    }
}

#[test]
fn removed_ones_leave_no_hole_and_their_places_are_used_again() {
    let mut numbers = Numbers(5);
    let vectors: Vec<Vec<f32>> = (0..900).map(|_| numbers.anywhere(16)).collect();
    let form = Form::of(Distance::Cosine, 16, Precision::F16);
    let mut graph = graph(form, &vectors);
    let places = graph.layers[0].places();
    let live = |ord: u32| !ord.is_multiple_of(3);
    assert_eq!(graph.remove(live, 100, 2), 200, "the others are left to the next step");
    assert_eq!(graph.remove(live, 9_999, 1), 0);
    assert!(graph.is_whole() && graph.len() == 600);
    assert!(recall(&graph, 16, |_| true) >= 98);
    let again: Vec<_> =
        (2_000..2_300u32).map(|ord| (ord, form.encode(&numbers.anywhere(16)))).collect();
    graph.insert(&again, 2);
    assert_eq!((graph.layers[0].places(), graph.len()), (places, 900));
    assert!(graph.is_whole() && recall(&graph, 16, |_| true) >= 98);
    assert_eq!(graph.remove(|_| false, 9_999, 2), 0);
    assert!(graph.is_whole() && graph.len() == 0);
    assert!(graph.search(form.encode(&[1.0; 16]).code(), 5, 50, |_| true).is_empty());
}

#[test]
fn the_same_vector_a_thousand_times_is_no_island() {
    let mut numbers = Numbers(9);
    // Every other one is the same.
    let same = numbers.anywhere(8);
    let vectors: Vec<Vec<f32>> =
        (0..1_200).map(|n| if n % 2 == 0 { same.clone() } else { numbers.anywhere(8) }).collect();
    let form = Form::of(Distance::Cosine, 8, Precision::I8);
    let mut graph = graph(form, &vectors);
    assert!(recall(&graph, 8, |ord| ord % 2 == 1) >= 98);
    let found = graph.search(form.encode(&same).code(), 40, 100, |_| true);
    assert_eq!(found.len(), 40);
    // The first of the line goes, and the next one has its links.
    assert_eq!(graph.remove(|ord| ord % 2 == 1 || ord > 600, 9_999, 2), 0);
    assert!(graph.is_whole());
    let found = graph.search(form.encode(&same).code(), 400, 400, |ord| ord.is_multiple_of(2));
    assert_eq!(found.len(), 299);
    assert!(recall(&graph, 8, |ord| ord % 2 == 1) >= 98);
}

#[test]
fn all_equal_or_zero_vectors_are_found() {
    for vector in [vec![0.5; 6], vec![0.0; 6]] {
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            let form = Form::of(distance, 6, Precision::I8);
            let graph = graph(form, &vec![vector.clone(); 900]);
            let found = graph.search(form.encode(&[0.1; 6]).code(), 50, 64, |ord| ord >= 100);
            assert_eq!(found.len(), 50, "{distance:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes and goes: the graph stays whole, has what it should have, and a wide walk finds it.
    #[test]
    fn stays_whole_and_holds_what_lives(
        steps in prop::collection::vec((0usize..60, 0u32..4, 1usize..40), 1..12),
        seed in 0u64..1_000,
    ) {
        let form = Form::of(Distance::Euclid, 3, Precision::F32);
        let (mut graph, mut numbers, mut next) = (Graph::new(form), Numbers(seed), 0u32);
        let mut live = std::collections::BTreeSet::new();
        for (count, divisor, most) in steps {
            live.retain(|ord: &u32| divisor == 0 || (ord % 7) % 4 != divisor);
            graph.remove(|ord| live.contains(&ord), most * 3, 1);
            let new: Vec<_> = (next..next + u32::try_from(count).unwrap())
                .map(|ord| {
                    // Few different ones.
                    let vector = [0; 3].map(|_| f32::from(u8::try_from(numbers.below(3)).unwrap()));
                    (ord, form.encode(&vector))
                })
                .collect();
            next += u32::try_from(count).unwrap();
            live.extend(new.iter().map(|(ord, _)| *ord));
            graph.insert(&new, 2);
            prop_assert!(graph.is_whole());
            let held: std::collections::BTreeSet<u32> =
                graph.layers[0].members().map(|(_, ord)| ord).collect();
            prop_assert!(live.is_subset(&held) && !held.contains(&NONE));
            let query = form.encode(&[1.0, 0.0, 2.0]);
            let found = graph.search(query.code(), 10_000, 10_000, |ord| live.contains(&ord));
            let found: std::collections::BTreeSet<u32> = found.iter().map(|Near(_, ord)| *ord).collect();
            prop_assert_eq!(&found, &live);
        }
    }
}
