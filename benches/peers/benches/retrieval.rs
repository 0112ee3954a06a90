//! Words alone: texts of 4 kB put into an index, and questions of three words, beside tantivy.
//!
//! Both cut no text differently: the same chunks of about 512 characters go in, stemmed in English without stop words, with their
//! text kept, and a commit is on the disk. Both answer with the ten best and their texts. hexmem is asked without feedback,
//! which is a second search that tantivy does not do.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{CollectionId, Limit, Name, Tenant};
use hexmem_rag::chunk::Chunking;
use hexmem_rag::{Collection, CollectionOptions, Document, Rag, SearchOptions};
use tantivy::collector::TopDocs;
use tantivy::query::QueryParser;
use tantivy::schema::{
    Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions, Value as _,
};
use tantivy::tokenizer::{
    Language, LowerCaser, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
};
use tantivy::{Index, TantivyDocument};

#[path = "../../../crates/rag/benches/corpus/mod.rs"]
mod corpus;

/// Texts of an ingest, and of the index that is asked: about 100,000 chunks.
const FEW: usize = 500;
const MANY: usize = 10_000;
const SIZE: usize = 4_000;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut words = corpus::Words::new(7);
    let texts: Vec<String> = (0..MANY).map(|_| words.text(SIZE)).collect();
    let questions: Vec<String> = (0..200).map(|_| words.question()).collect();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();

    let mut group = criterion.benchmark_group("rag ingest of 500 texts");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("hexmem", |bencher| {
        bencher.iter_with_large_drop(|| {
            let folder = tempfile::tempdir().unwrap();
            let collection = runtime.block_on(open(folder.path()));
            runtime.block_on(ingest(&collection, &texts[..FEW]));
            (folder, collection)
        });
    });
    group.bench_function("tantivy", |bencher| {
        bencher.iter_with_large_drop(|| {
            let folder = tempfile::tempdir().unwrap();
            let tantivy = Tantivy::create(folder.path());
            tantivy.add(&texts[..FEW]);
            (folder, tantivy)
        });
    });
    group.finish();

    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    std::fs::create_dir_all(&ours).unwrap();
    std::fs::create_dir_all(&theirs).unwrap();
    let collection = runtime.block_on(open(&ours));
    runtime.block_on(ingest(&collection, &texts));
    let tantivy = Tantivy::create(&theirs);
    tantivy.add(&texts);
    let options = SearchOptions {
        limit: Limit::new(10).unwrap(),
        feedback: None,
        ..SearchOptions::default()
    };
    let mut group = criterion.benchmark_group("rag query at 100,000 chunks");
    let mut next = questions.iter().cycle();
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| {
            let hits = runtime.block_on(collection.search(next.next().unwrap(), &options)).unwrap();
            assert_eq!(hits.len(), 10);
        });
    });
    let reader = tantivy.index.reader().unwrap();
    let parser = QueryParser::for_index(&tantivy.index, vec![tantivy.text]);
    let mut next = questions.iter().cycle();
    group.bench_function("tantivy", |bencher| {
        bencher.iter(|| {
            let searcher = reader.searcher();
            let query = parser.parse_query(next.next().unwrap()).unwrap();
            let best = searcher.search(&query, &TopDocs::with_limit(10).order_by_score()).unwrap();
            let texts: Vec<String> = best
                .into_iter()
                .map(|(_, at)| {
                    let found: TantivyDocument = searcher.doc(at).unwrap();
                    found.get_first(tantivy.text).unwrap().as_str().unwrap().to_owned()
                })
                .collect();
            assert_eq!(texts.len(), 10);
        });
    });
    group.finish();
    criterion.final_summary();
}

async fn open(folder: &Path) -> Collection {
    let config = SqliteConfig::new(folder.join("hexmem.db"));
    let database = Database::open(config, Arc::new(SystemClock)).await.unwrap();
    let rag = Rag::new(Arc::new(database.vectors()));
    let id = CollectionId::new(Tenant(Name::new("t").unwrap()), Name::new("docs").unwrap());
    rag.open_or_create(id, CollectionOptions::default()).await.unwrap()
}

/// Two at a time, as `hexmem rag ingest` does on two cores.
async fn ingest(collection: &Collection, texts: &[String]) {
    let mut tasks = tokio::task::JoinSet::new();
    for (group, texts) in texts.chunks(250).enumerate() {
        let documents: Vec<Document> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| Document::new(format!("{group}/{n}"), text.clone()))
            .collect();
        if tasks.len() == 3 {
            tasks.join_next().await.unwrap().unwrap();
        }
        let collection = collection.clone();
        tasks.spawn(async move {
            collection.ingest(documents).await.unwrap();
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

struct Tantivy {
    index: Index,
    text: Field,
}

impl Tantivy {
    fn create(folder: &Path) -> Self {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("english")
            .set_index_option(IndexRecordOption::WithFreqs);
        let options = TextOptions::default().set_indexing_options(indexing).set_stored();
        let text = schema.add_text_field("text", options);
        let index = Index::create_in_dir(folder, schema.build()).unwrap();
        let analyzer = TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(LowerCaser)
            .filter(StopWordFilter::new(Language::English).unwrap())
            .filter(Stemmer::new(Language::English))
            .build();
        index.tokenizers().register("english", analyzer);
        Self { index, text }
    }

    fn add(&self, texts: &[String]) {
        let mut writer = self.index.writer_with_num_threads(2, 200_000_000).unwrap();
        for text in texts {
            for chunk in Chunking::default().chunks(text).unwrap() {
                let mut document = TantivyDocument::default();
                document.add_text(self.text, chunk.text);
                writer.add_document(document).unwrap();
            }
        }
        writer.commit().unwrap();
        writer.wait_merging_threads().unwrap();
    }
}
