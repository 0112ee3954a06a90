//! Nodes and edges on a line.

use hexmem_ports::{Edge, Element, Node};
use serde_json::Value;

/// The most characters of attributes on a line.
const DATA_WIDTH: usize = 100;

pub(super) fn node_line(node: &Node) -> String {
    format!("{} ({}){}", node.id, node.kind, data(&node.data))
}

pub(super) fn edge_line(edge: &Edge) -> String {
    let mut says = edge.relation.to_string();
    if (edge.weight - 1.0).abs() > f64::EPSILON {
        says.push_str(&format!(" {}", edge.weight));
    }
    if let Some(from) = edge.valid_from {
        says.push_str(&format!(" from {from}"));
    }
    if let Some(until) = edge.valid_until {
        says.push_str(&format!(" until {until}"));
    }
    if let Some(source) = &edge.source {
        says.push_str(&format!(", says {source}"));
    }
    format!("{} -[{says}]-> {}{}", edge.src, edge.dst, data(&edge.data))
}

pub(super) fn element_line(element: &Element) -> String {
    let (version, recorded, superseded, line) = match element {
        Element::Node(node) => {
            (node.version, node.recorded_at, node.superseded_at, node_line(node))
        }
        Element::Edge(edge) => {
            (edge.version, edge.recorded_at, edge.superseded_at, edge_line(edge))
        }
    };
    let end = superseded.map_or_else(|| "now".to_owned(), |end| end.to_string());
    format!("version {version}, known {recorded} to {end}\n  {line}\n")
}

fn data(data: &Value) -> String {
    if data.as_object().is_some_and(serde_json::Map::is_empty) {
        return String::new();
    }
    let text = data.to_string();
    let cut: String = text.chars().take(DATA_WIDTH).collect();
    if cut.len() < text.len() { format!("  {cut}...") } else { format!("  {cut}") }
}
