//! `hexmem.graph_passes` answers as `Filter::matches`: the same meaning in SQL as in Rust.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use hexmem_ports::Filter;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const SQL: &str = "SELECT hexmem.graph_passes($1::json, $2::json)";

fn scalar() -> impl Strategy<Value = Value> {
    let numbers = [
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(1e18),
        json!(1_000_000_000_000_000_001_i64),
        json!(9_007_199_254_740_993_i64),
        json!(9_007_199_254_740_992.0),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(1e300),
        json!(5e-324),
        json!(0.1),
    ];
    let texts = ["", "1", "a", "A", "ä", "a\"\\\n\u{1f600}", "true"].map(|text| json!(text));
    prop_oneof![
        proptest::sample::select(numbers.to_vec()),
        proptest::sample::select(texts.to_vec()),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)).prop_filter("finite", Value::is_number),
    ]
}

fn key() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "0", "eq", "and"]).prop_map(str::to_owned)
}

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::hash_map(key(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    proptest::collection::hash_map(key(), value, 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn condition() -> impl Strategy<Value = Value> {
    let field = proptest::collection::vec(key(), 1..3).prop_map(|parts| parts.join(".")).boxed();
    let bound = || proptest::option::of(-2.0..2.0f64);
    prop_oneof![
        (field.clone(), scalar()).prop_map(|(field, value)| json!({ "field": field, "eq": value })),
        (field.clone(), proptest::collection::vec(scalar(), 0..4))
            .prop_map(|(field, values)| json!({ "field": field, "in": values })),
        (field.clone(), any::<bool>())
            .prop_map(|(field, there)| json!({ "field": field, "exists": there })),
        (field, -2.0..2.0f64, bound(), bound()).prop_map(|(field, gte, gt, lt)| {
            let mut object = json!({ "field": field, "gte": gte });
            for (name, bound) in [("gt", gt), ("lt", lt)] {
                if let Some(bound) = bound {
                    object[name] = json!(bound);
                }
            }
            object
        }),
    ]
}

fn filter() -> impl Strategy<Value = Value> {
    condition().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|of| json!({ "and": of })),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|of| json!({ "or": of })),
            inner.prop_map(|of| json!({ "not": of })),
        ]
    })
}

#[test]
fn a_filter_means_the_same_in_sql() {
    let runtime = Runtime::new().unwrap();
    let (_database, mut connection) = runtime.block_on(async {
        let database = rig::Database::migrated().await;
        let connection = rig::connect(&database.url).await;
        (database, connection)
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let connection = std::cell::RefCell::new(&mut connection);
    let checked = runner.run(&(data(), filter()), |(data, filter)| {
        let parsed = Filter::parse(&filter).unwrap();
        let mut connection = connection.borrow_mut();
        let asked = sqlx::query_scalar::<_, bool>(SQL)
            .bind(data.to_string())
            .bind(parsed.to_json().to_string());
        let passes = runtime.block_on(asked.fetch_one(&mut **connection)).unwrap();
        prop_assert_eq!(passes, parsed.matches(&data), "{} of {}", filter, data);
        Ok(())
    });
    checked.unwrap();
}
