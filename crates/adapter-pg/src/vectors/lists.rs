//! Lists of the points that have a term or a field's value: read in blocks, and followed to the points that can pass a
//! filter.

use std::collections::HashMap;

use hexmem_ports::rules::{FieldPlan, field_plan};
use hexmem_ports::{Filter, Result};

use super::collection::Collection;
use super::layout::list;
use super::ords::Ords;
use super::read::changed;
use super::turn::Turn;
use super::{corrupt, pack};

/// The blocks of some lists, and what belongs to them.
pub(super) struct Lists {
    /// By list, in no order within one.
    pub(super) blocks: HashMap<i64, Vec<Vec<u8>>>,
    /// Removed points that blocks still name.
    pub(super) dead: Ords,
    /// How many points have each sparse vector.
    pub(super) populations: Vec<i64>,
}

type Block = (Option<i64>, Option<Vec<u8>>, Option<Vec<i64>>);

/// All blocks of the lists within `ranges`, both ends among them. `None` when the collection has another life.
pub(super) async fn lists(
    turn: &mut Turn<'_>,
    there: &Collection,
    ranges: &[(i64, i64)],
) -> Result<Option<Lists>> {
    let (least, most): (Vec<i64>, Vec<i64>) = ranges.iter().copied().unzip();
    let rows: Vec<Block> = turn
        .query(include_str!("../sql/vectors/lists.sql"))
        .bind(there.id)
        .bind(there.version)
        .bind(least)
        .bind(most)
        .fetch_all()
        .await?;
    let (mut blocks, mut head): (HashMap<i64, Vec<Vec<u8>>>, _) = (HashMap::new(), None);
    for (list, block, populations) in rows {
        match (list, populations) {
            (Some(list), _) => blocks.entry(list).or_default().extend(block),
            (None, populations) => head = Some((block, populations)),
        }
    }
    let Some((dead, populations)) = head else { return Ok(None) };
    let mut buried = Ords::default();
    let (ords, rest) = dead.as_deref().unwrap_or_default().as_chunks();
    if !rest.is_empty() {
        return Err(corrupt(turn.operation(), "the list of removed points"));
    }
    ords.iter().for_each(|bytes| buried.add(u32::from_be_bytes(*bytes)));
    Ok(Some(Lists { blocks, dead: buried, populations: populations.unwrap_or_default() }))
}

/// The lists that tell which points can pass, if they do.
pub(super) struct Planned(FieldPlan);

impl Planned {
    pub(super) fn of(there: &Collection, filter: &Filter) -> Option<Self> {
        field_plan(&there.spec.indexed, filter).map(Self)
    }

    /// The ranges of lists to read.
    pub(super) fn ranges(&self, there: &Collection) -> Vec<(i64, i64)> {
        fn gather(plan: &FieldPlan, there: &Collection, into: &mut Vec<(i64, i64)>) {
            match plan {
                FieldPlan::Terms(place, terms) => {
                    let channel = there.layout.field(*place);
                    let lists = terms.iter().map(|term| list(channel, *term));
                    into.extend(lists.map(|list| (list, list)));
                }
                FieldPlan::Range(place, least, most) => {
                    let channel = there.layout.field(*place);
                    into.push((list(channel, *least), list(channel, *most)));
                }
                FieldPlan::And(parts) | FieldPlan::Or(parts) => {
                    parts.iter().for_each(|part| gather(part, there, into));
                }
            }
        }
        let mut ranges = Vec::new();
        gather(&self.0, there, &mut ranges);
        ranges.sort_unstable();
        ranges.dedup();
        // Ranges that overlap would give a block twice, which matters to none of those who read them.
        ranges
    }

    /// The points that can pass, removed ones left out.
    pub(super) fn follow(
        &self,
        operation: &'static str,
        there: &Collection,
        lists: &Lists,
    ) -> Result<Ords> {
        follow(&self.0, there, lists).ok_or_else(|| corrupt(operation, "the list of a field"))
    }
}

fn follow(plan: &FieldPlan, there: &Collection, lists: &Lists) -> Option<Ords> {
    let mut found = Ords::default();
    let mut gather = |list: &i64| {
        let blocks = lists.blocks.get(list).into_iter().flatten();
        let add = |ord| {
            if !lists.dead.has(ord) {
                found.add(ord);
            }
        };
        let mut add = add;
        blocks.map(|block| pack::members(block, &mut add)).collect::<Option<Vec<()>>>()
    };
    match plan {
        FieldPlan::Terms(place, terms) => {
            for term in terms {
                gather(&list(there.layout.field(*place), *term))?;
            }
        }
        FieldPlan::Range(place, least, most) => {
            let channel = there.layout.field(*place);
            let range = list(channel, *least)..=list(channel, *most);
            for list in lists.blocks.keys().filter(|list| range.contains(list)) {
                gather(list)?;
            }
        }
        FieldPlan::And(parts) => {
            for (i, part) in parts.iter().enumerate() {
                let part = follow(part, there, lists)?;
                if i == 0 {
                    found = part;
                } else {
                    found.intersect(&part);
                }
            }
        }
        FieldPlan::Or(parts) => {
            for part in parts {
                found.unite(&follow(part, there, lists)?);
            }
        }
    }
    Some(found)
}

/// The points that can pass `filter`; `None` where only reading them tells.
pub(super) async fn candidates(
    turn: &mut Turn<'_>,
    there: &Collection,
    filter: &Filter,
) -> Result<Option<Ords>> {
    let Some(planned) = Planned::of(there, filter) else { return Ok(None) };
    let lists = lists(turn, there, &planned.ranges(there)).await?;
    let lists = lists.ok_or_else(|| changed(turn.operation()))?;
    planned.follow(turn.operation(), there, &lists).map(Some)
}
