//! What an index of dense vectors finds, beside what comparing every vector finds.

use hexmem_ports::{
    Accuracy, CollectionId, Filter, Found, Limit, VectorQuery, VectorSearch, VectorStore,
};

use crate::name;

/// The ten nearest by the dense vector `d`.
pub async fn nearest(
    store: &dyn VectorStore,
    collection: &CollectionId,
    query: &[f32],
    filter: &Filter,
    accuracy: Accuracy,
) -> Vec<Found> {
    let query = VectorQuery::Dense { vector: name("d"), values: query.to_vec() };
    let limit = Limit::new(10).unwrap();
    let search = VectorSearch { query, filter: filter.clone(), limit, min_score: None, accuracy };
    store.search(collection, &search).await.unwrap()
}

/// How many of 100 of the ten nearest the index finds. The limit is filled, and scores are exact.
pub async fn recall(
    store: &dyn VectorStore,
    collection: &CollectionId,
    queries: impl IntoIterator<Item = Vec<f32>>,
    filter: &Filter,
) -> usize {
    let (mut hits, mut all) = (0, 0);
    for query in queries {
        let exact = nearest(store, collection, &query, filter, Accuracy::Exact).await;
        let near = nearest(store, collection, &query, filter, Accuracy::Indexed).await;
        assert_eq!(near.len(), exact.len(), "the limit is filled");
        all += exact.len();
        // The same point has the same score to the bit, whoever found it.
        hits += near.iter().filter(|hit| exact.contains(hit)).count();
    }
    hits * 100 / all.max(1)
}
