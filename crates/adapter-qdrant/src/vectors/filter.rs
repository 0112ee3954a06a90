//! Filters in Qdrant's terms.

use hexmem_ports::{Bounds, FieldPath, Filter, Presence};
use qdrant_client::qdrant;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{
    Condition, FieldCondition, HasIdCondition, IsEmptyCondition, Match, Range, RepeatedStrings,
};

use super::payload::DEEPEST;
use super::point::{EMPTY_LISTS, PAYLOAD};

/// Beyond these a whole number is not one number as a float.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// A filter as Qdrant decides it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// `None` passes everything.
    pub(super) filter: Option<qdrant::Filter>,
    /// Whether Qdrant's decision is the last one. Otherwise what passes is a superset.
    pub(super) is_exact: bool,
}

impl Plan {
    pub(super) fn of(filter: &Filter) -> Self {
        let cond = condition(filter);
        let filter = cond.condition.map(must);
        Self { filter, is_exact: cond.is_exact }
    }

    /// The filter, and `more` beside it.
    pub(super) fn and(&self, more: Condition) -> qdrant::Filter {
        let mut filter = self.filter.clone().unwrap_or_default();
        filter.must.push(more);
        filter
    }
}

/// What a part of a filter is there; no condition is everything.
struct Part {
    condition: Option<Condition>,
    is_exact: bool,
}

impl Part {
    fn exact(condition: Condition) -> Self {
        Self { condition: Some(condition), is_exact: true }
    }

    fn anything() -> Self {
        Self { condition: None, is_exact: false }
    }
}

fn must(condition: Condition) -> qdrant::Filter {
    qdrant::Filter { must: vec![condition], ..Default::default() }
}

pub(super) fn of(condition: ConditionOneOf) -> Condition {
    Condition { condition_one_of: Some(condition) }
}

fn nested(filter: qdrant::Filter) -> Condition {
    of(ConditionOneOf::Filter(filter))
}

fn any(should: Vec<Condition>) -> Condition {
    if should.is_empty() {
        nothing()
    } else {
        nested(qdrant::Filter { should, ..Default::default() })
    }
}

/// No point has an id of none.
fn nothing() -> Condition {
    of(ConditionOneOf::HasId(HasIdCondition { has_id: Vec::new() }))
}

fn not(condition: Condition) -> Condition {
    nested(qdrant::Filter { must_not: vec![condition], ..Default::default() })
}

/// Points in which `field` has a value that matches.
pub(super) fn matching(field: impl Into<String>, value: MatchValue) -> Condition {
    of(ConditionOneOf::Field(FieldCondition {
        key: field.into(),
        r#match: Some(Match { match_value: Some(value) }),
        ..Default::default()
    }))
}

fn range(path: &FieldPath, range: Range) -> Condition {
    of(ConditionOneOf::Field(FieldCondition {
        key: field(path),
        range: Some(range),
        ..Default::default()
    }))
}

/// A field of the payload, as Qdrant names it: each part quoted, so that any character may be in it.
pub(super) fn field(path: &FieldPath) -> String {
    path.parts().fold(PAYLOAD.to_owned(), |mut written, part| {
        written.push_str(".\"");
        written.push_str(part);
        written.push('"');
        written
    })
}

fn condition(filter: &Filter) -> Part {
    match filter {
        Filter::And(parts) => {
            let parts: Vec<Part> = parts.iter().map(condition).collect();
            let is_exact = parts.iter().all(|part| part.is_exact);
            let mut must: Vec<Condition> =
                parts.into_iter().filter_map(|part| part.condition).collect();
            let condition = match must.len() {
                0 => None,
                1 => must.pop(),
                _ => Some(nested(qdrant::Filter { must, ..Default::default() })),
            };
            Part { condition, is_exact }
        }
        Filter::Or(parts) => {
            let parts: Vec<Part> = parts.iter().map(condition).collect();
            let is_exact = parts.iter().all(|part| part.is_exact);
            match parts.into_iter().map(|part| part.condition).collect::<Option<Vec<_>>>() {
                Some(should) => Part { condition: Some(any(should)), is_exact },
                // One of them is everything.
                None => Part { condition: None, is_exact },
            }
        }
        Filter::Not(part) => match condition(part) {
            // Not a superset is a subset: of no use.
            Part { is_exact: false, .. } => Part::anything(),
            Part { condition: Some(condition), .. } => Part::exact(not(condition)),
            Part { condition: None, .. } => Part::exact(nothing()),
        },
        Filter::Eq(path, _)
        | Filter::In(path, _)
        | Filter::Range(path, _)
        | Filter::Exists(path, _)
            if path.parts().count() > DEEPEST =>
        {
            Part::anything()
        }
        Filter::Eq(path, value) => equal(path, std::slice::from_ref(value)),
        Filter::In(path, values) => equal(path, values),
        Filter::Range(path, bounds) => bounded(path, bounds),
        Filter::Exists(path, presence) => {
            // Empty for Qdrant is absent, null, or a list of nothing; the last is a value here.
            let empty = of(ConditionOneOf::IsEmpty(IsEmptyCondition { key: field(path) }));
            let list = matching(EMPTY_LISTS, MatchValue::Keyword(path.as_str().to_owned()));
            let absent = nested(qdrant::Filter {
                must: vec![empty],
                must_not: vec![list],
                ..Default::default()
            });
            Part::exact(match presence {
                Presence::Absent => absent,
                Presence::Present => not(absent),
            })
        }
    }
}

fn equal(path: &FieldPath, values: &[serde_json::Value]) -> Part {
    let (mut should, mut texts, mut is_exact) = (Vec::new(), Vec::new(), true);
    for value in values {
        match value {
            serde_json::Value::String(text) => texts.push(text.clone()),
            serde_json::Value::Bool(value) => {
                should.push(matching(field(path), MatchValue::Boolean(*value)));
            }
            serde_json::Value::Number(number) => {
                // A range has whole and broken numbers compared by value.
                let Some(number) = number.as_f64() else { return Part::anything() };
                is_exact &= number.abs() < WHOLE;
                let bounds = Range { gte: Some(number), lte: Some(number), ..Default::default() };
                should.push(range(path, bounds));
            }
            // No filter that was parsed has one.
            _ => return Part::anything(),
        }
    }
    if texts.len() == 1 {
        should.extend(texts.pop().map(|text| matching(field(path), MatchValue::Keyword(text))));
    } else if !texts.is_empty() {
        let strings = RepeatedStrings { strings: texts };
        should.push(matching(field(path), MatchValue::Keywords(strings)));
    }
    let condition = if should.len() == 1 { should.pop() } else { Some(any(should)) };
    Part { condition, is_exact }
}

fn bounded(path: &FieldPath, bounds: &Bounds) -> Part {
    let Bounds { gt, gte, lt, lte } = *bounds;
    if [gt, gte, lt, lte].iter().all(Option::is_none) {
        return Part::anything();
    }
    Part::exact(range(path, Range { gt, gte, lt, lte }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(filter: &serde_json::Value) -> Plan {
        Plan::of(&Filter::parse(filter).unwrap())
    }

    #[test]
    fn what_qdrant_decides_alone_is_known() {
        for filter in [
            json!({}),
            json!({"or": []}),
            json!({"field": "a.b", "eq": "x"}),
            json!({"field": "a", "eq": 1.5}),
            json!({"field": "a", "in": ["x", 1, true]}),
            json!({"field": "a", "exists": true}),
            json!({"not": {"field": "a", "gt": 1}}),
        ] {
            assert!(plan(&filter).is_exact, "{filter}");
        }
        let beyond = json!({"field": "a", "eq": 9_007_199_254_740_993i64});
        assert!(!plan(&beyond).is_exact && plan(&beyond).filter.is_some());
        // The opposite of a superset would lose points.
        let not = json!({"not": beyond});
        assert_eq!(plan(&not), Plan { filter: None, is_exact: false });
        let or = json!({"or": [not, {"field": "a", "eq": 1}]});
        assert_eq!(plan(&or), Plan { filter: None, is_exact: false });
        let and = json!({"and": [not, {"field": "a", "eq": 1}]});
        assert!(plan(&and).filter.is_some() && !plan(&and).is_exact);
        let deep = vec!["a"; 25].join(".");
        assert!(!plan(&json!({"field": deep, "eq": 1})).is_exact);
    }

    #[test]
    fn fields_are_quoted() {
        let path = FieldPath::new("a b.日本.c-d").unwrap();
        assert_eq!(field(&path), "p.\"a b\".\"日本\".\"c-d\"");
        assert_eq!(plan(&json!({})).filter, None);
    }
}
