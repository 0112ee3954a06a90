//! Neighbourhoods: the whole walk in the server.

use std::collections::HashMap;

use hexmem_ports::rules::graph::{NearPage, trace_steps};
use hexmem_ports::{
    Direction, Edge, Filter, GraphId, Name, NeighbourQuery, Neighbourhood, Reached, Result,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::find::{some, valid_at};
use super::rows::{self, texts};
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
                let node = rows::node(OP, row.node().ok_or_else(missing)?)?;
                kept.insert(node.id.clone(), distance);
                found.nodes.push(Reached { node, distance, via: None });
            }
            2 => {
                let id = row.id.ok_or_else(missing)?;
                kept.insert(rows::name(OP, id)?, distance);
            }
            _ => found.edges.push(rows::edge(OP, row.edge().ok_or_else(missing)?)?),
        }
    }
    found.nodes.sort_by(|a, b| (a.distance, &a.node.id).cmp(&(b.distance, &b.node.id)));
    found.edges.sort_by_key(|edge: &Edge| edge.id);
    let distances = kept.iter().map(|(id, distance)| (id, *distance)).collect();
    trace_steps(query.direction, &mut found.nodes, &distances, &found.edges);
    found.next = found.nodes.last().filter(|_| more).map(Reached::cursor);
    Ok(found)
}

fn missing() -> hexmem_ports::Error {
    hexmem_ports::Error::corrupt(OP, "a column that must be filled is empty").with("table", "graph")
}

/// A row of `hexmem.graph_near`.
struct Near {
    tag: i16,
    hops: Option<i32>,
    more: Option<bool>,
    version: Option<i64>,
    created: Option<At>,
    recorded: Option<At>,
    superseded: Option<At>,
    id: Option<String>,
    kind: Option<String>,
    data: Option<String>,
    edge: Option<Uuid>,
    src: Option<String>,
    dst: Option<String>,
    weight: Option<f64>,
    from: Option<At>,
    until: Option<At>,
    source: Option<String>,
}

impl<'r> FromRow<'r, PgRow> for Near {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            tag: row.try_get(0)?,
            hops: row.try_get(1)?,
            more: row.try_get(2)?,
            version: row.try_get(3)?,
            created: row.try_get(4)?,
            recorded: row.try_get(5)?,
            superseded: row.try_get(6)?,
            id: row.try_get(7)?,
            kind: row.try_get(8)?,
            data: row.try_get(9)?,
            edge: row.try_get(10)?,
            src: row.try_get(11)?,
            dst: row.try_get(12)?,
            weight: row.try_get(13)?,
            from: row.try_get(14)?,
            until: row.try_get(15)?,
            source: row.try_get(16)?,
        })
    }
}

impl Near {
    fn node(self) -> Option<rows::NodeRow> {
        let Self { id, version, kind, created, recorded, superseded, data, .. } = self;
        Some((id?, version?, kind?, created?, recorded?, superseded, data?))
    }

    fn edge(self) -> Option<rows::EdgeRow> {
        Some((
            self.edge?,
            self.version?,
            self.src?,
            self.kind?,
            self.dst?,
            self.weight?,
            self.from,
            self.until,
            self.source,
            self.created?,
            self.recorded?,
            self.superseded,
            self.data?,
        ))
    }
}
