//! Neighbourhoods: the whole walk in the server.

use std::collections::HashMap;

use hexmem_ports::rules::graph::{NearPage, trace_steps};
use hexmem_ports::{
    Direction, Edge, Filter, GraphId, Name, NeighbourQuery, Neighbourhood, Reached, Result,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::find::{some, valid_at};
use super::rows::{self, Columns, missing, texts};
use crate::Postgres;
use crate::value::{At, Hash};

const OP: &str = "graph.neighbourhood";

pub(super) async fn neighbourhood(
    postgres: &Postgres,
    graph: &GraphId,
    query: &NeighbourQuery,
) -> Result<Neighbourhood> {
    let page = NearPage::new(query)?;
    let after = page.after();
    let (any, at) = valid_at(query.as_of);
    let json = |filter: &Option<Filter>| filter.as_ref().map(|f| f.to_json().to_string());
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let rows: Vec<Near> = postgres
        .read(OP, include_str!("../sql/graph/near.sql"))
        .bind(Hash(graph.digest()))
        .bind(texts(&query.seeds))
        .bind(number(query.hops))
        .bind(query.direction != Direction::In)
        .bind(query.direction != Direction::Out)
        .bind(some(&query.relations))
        .bind(query.min_weight)
        .bind(some(&query.sources))
        .bind(json(&query.edge_data))
        .bind(some(&query.kinds))
        .bind(json(&query.node_data))
        .bind(any)
        .bind(at)
        .bind(query.as_of.known.map(At))
        .bind(after.map_or(-1, |(hops, _)| number(hops)))
        .bind(after.map_or("", |(_, id)| id.as_str()))
        .bind(number(query.limit.get()))
        .fetch_all()
        .await?;
    let mut found = Neighbourhood::default();
    let mut kept: HashMap<Name, u32> = HashMap::new();
    let mut more = false;
    for row in rows {
        let distance = row.hops.and_then(|hops| u32::try_from(hops).ok()).unwrap_or(0);
        match row.tag {
            0 => more = row.more == Some(true),
            1 => {
                let node = row.columns.node(OP, row.version)?;
                kept.insert(node.id.clone(), distance);
                found.nodes.push(Reached { node, distance, via: None });
            }
            2 => {
                let id = row.columns.id.ok_or_else(|| missing(OP))?;
                kept.insert(rows::name(OP, id)?, distance);
            }
            _ => found.edges.push(row.columns.edge(OP, row.version)?),
        }
    }
    found.nodes.sort_by(|a, b| (a.distance, &a.node.id).cmp(&(b.distance, &b.node.id)));
    found.edges.sort_by_key(|edge: &Edge| edge.id);
    let distances = kept.iter().map(|(id, distance)| (id, *distance)).collect();
    trace_steps(query.direction, &mut found.nodes, &distances, &found.edges);
    found.next = found.nodes.last().filter(|_| more).map(Reached::cursor);
    Ok(found)
}

/// A row of `hexmem.graph_near`.
struct Near {
    tag: i16,
    hops: Option<i32>,
    more: Option<bool>,
    version: Option<i64>,
    columns: Columns,
}

impl<'r> FromRow<'r, PgRow> for Near {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            tag: row.try_get(0)?,
            hops: row.try_get(1)?,
            more: row.try_get(2)?,
            version: row.try_get(3)?,
            columns: Columns::read(row, 4)?,
        })
    }
}
