//! The records of graphs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hexmem_ports::rules::graph::{GraphRecord, RecordCursor, scan_records};
use hexmem_ports::{Cursor, GraphId, Limit, Page, Record, RecordKind, Records, Restored, Result};

use crate::JsonGraphs;
use crate::disk::blocking;
use crate::entry::{Entry, What};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Records for JsonGraphs {
    fn kind(&self) -> RecordKind {
        RecordKind::Graph
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OP: &str = "records.scan";
        let cursor = cursor.as_ref().map(RecordCursor::decode).transpose()?;
        let mut page = Page::default();
        let graphs = self.graphs(OP, None).await?;
        let from = |graph: &GraphId| cursor.as_ref().is_none_or(|cursor| *graph >= cursor.graph);
        for (graph, _) in graphs.into_iter().filter(|(graph, _)| from(graph)) {
            let room = u32::try_from(page.items.len()).map_or(0, |had| limit.get() - had);
            let Ok(room) = Limit::new(room) else { break };
            let (id, after) = (graph.clone(), cursor.clone());
            let part: Page<Record> = self
                .read(OP, &graph, move |state, _| {
                    scan_records([(&id, state)], after.as_ref(), room)
                })
                .await??;
            page.items.extend(part.items);
            page.next = part.next;
            if page.next.is_some() {
                return Ok(page);
            }
            if page.items.len() == limit.as_usize() {
                // Whatever follows begins with the next graph: behind the last element of this one.
                page.next = page.items.last().map(end_of).transpose()?;
                return Ok(page);
            }
        }
        Ok(page)
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        const OP: &str = "records.restore";
        let mut by_graph: BTreeMap<GraphId, Vec<(usize, GraphRecord)>> = BTreeMap::new();
        for (place, record) in records.iter().enumerate() {
            let (graph, read) = GraphRecord::decode(record)?;
            by_graph.entry(graph).or_default().push((place, read));
        }
        let mut answers = vec![Restored::Kept; records.len()];
        for (graph, group) in by_graph {
            let (places, read): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let given: Vec<Record> = places.iter().map(|place| records[*place].clone()).collect();
            let (mut file, lock) = self.hold(OP, &graph).await?;
            let inner = std::sync::Arc::clone(&self.0);
            let restored = blocking(OP, move || {
                let _lock = lock;
                inner.warn(file.refresh_to_write(OP)?);
                let restored = file.perform_first(|state| state.restore(read));
                let written = given.into_iter().zip(&restored);
                let written: Vec<Record> = written
                    .filter(|(_, answer)| **answer == Restored::Written)
                    .map(|(record, _)| record)
                    .collect();
                if !written.is_empty() {
                    let exists = file.state().head().is_some();
                    let what = What::Restore { records: written };
                    file.append(OP, &[Entry { exists, effects: None, what }])?;
                }
                file.settled();
                Ok(restored)
            })
            .await?;
            self.tend(&graph).await;
            for (place, answer) in places.into_iter().zip(restored) {
                answers[place] = answer;
            }
        }
        Ok(answers)
    }
}

/// The position of a record.
fn end_of(record: &Record) -> Result<Cursor> {
    let (graph, read) = GraphRecord::decode(record)?;
    let element = match read {
        GraphRecord::Graph { .. } => None,
        GraphRecord::Node(versions) => {
            versions.last().map(|node| hexmem_ports::ElementRef::Node(node.id.clone()))
        }
        GraphRecord::Edge(versions) => {
            versions.last().map(|edge| hexmem_ports::ElementRef::Edge(edge.id))
        }
    };
    RecordCursor { graph, element }.encode()
}
