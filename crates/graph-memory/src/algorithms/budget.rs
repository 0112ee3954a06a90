//! How much a read may give.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use hexmem_ports::{Edge, Error, ErrorKind, Name, Neighbourhood, Result};
use serde::Serialize;

/// Counts the tokens of a text.
pub type TokenCounter = Arc<dyn Fn(&str) -> u64 + Send + Sync>;

/// What a read may give at most: nodes, bytes, tokens, or several of them; by default all there is.
///
/// Results are taken in their order up to the first that does not fit, so that what a budget leaves is the
/// beginning of what there would be without it, and smaller ones further on do not slip in. Bytes are those of
/// each item as compact JSON (the fields of its type in their order, no white space), as `--json` shows it but
/// for white space and the brackets around the list; an item's tokens are counted over the same text: by
/// default one for each 4 bytes begun, or by a counter of the caller's.
#[derive(Clone, Default)]
pub struct Budget {
    /// At most so many items.
    pub nodes: Option<u64>,
    /// At most so many bytes of JSON.
    pub bytes: Option<u64>,
    /// At most so many tokens of JSON.
    pub tokens: Option<u64>,
    /// `None`: 4 bytes are a token.
    pub counter: Option<TokenCounter>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("nodes", &self.nodes)
            .field("bytes", &self.bytes)
            .field("tokens", &self.tokens)
            .field("counter", &self.counter.as_ref().map(|_| "the caller's"))
            .finish()
    }
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spent {
    /// Items.
    pub nodes: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// Tokens of their JSON.
    pub tokens: u64,
}

/// Which limit of a budget a result met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutBy {
    /// The number of nodes.
    Nodes,
    /// Bytes.
    Bytes,
    /// Tokens.
    Tokens,
}

/// What a budget left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// The limit that the first item left out did not fit.
    pub by: CutBy,
    /// How many items were left out.
    pub left_out: u64,
}

/// Where a budget stands: what was spent and what was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Account {
    /// What was given.
    pub spent: Spent,
    /// What was not; `None`: nothing.
    pub cut: Option<Cut>,
}

impl Budget {
    /// No more than this many items.
    #[must_use]
    pub fn nodes(mut self, most: u64) -> Self {
        self.nodes = Some(most);
        self
    }

    /// No more than this many bytes of JSON.
    #[must_use]
    pub fn bytes(mut self, most: u64) -> Self {
        self.bytes = Some(most);
        self
    }

    /// No more than this many tokens of JSON.
    #[must_use]
    pub fn tokens(mut self, most: u64) -> Self {
        self.tokens = Some(most);
        self
    }

    /// With tokens counted so.
    #[must_use]
    pub fn counted_by(mut self, counter: impl Fn(&str) -> u64 + Send + Sync + 'static) -> Self {
        self.counter = Some(Arc::new(counter));
        self
    }

    /// A meter that has spent nothing.
    pub fn meter(&self) -> Meter<'_> {
        Meter { budget: self, account: Account::default() }
    }

    /// The items that fit, from the first on, and the account.
    pub fn take<T: Serialize>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<(Vec<T>, Account)> {
        let mut meter = self.meter();
        let mut taken = Vec::new();
        for item in items {
            if meter.admits(&[&item])? {
                taken.push(item);
            }
        }
        Ok((taken, meter.account()))
    }

    /// The part of a neighbourhood that fits: a node costs its own JSON and that of the edges that join it to
    /// itself and to nodes before it, and the edges among the nodes taken stay. The next page starts
    /// behind the last node taken; nowhere, where not one fits: give more room.
    pub fn neighbourhood(&self, found: Neighbourhood) -> Result<(Neighbourhood, Account)> {
        // With which node each edge comes: the later of its ends.
        let comes: Vec<Option<usize>> = {
            let order: HashMap<&Name, usize> =
                found.nodes.iter().map(|reached| &reached.node.id).zip(0..).collect();
            // An end that is not here is on an earlier page.
            let later = |edge: &Edge| order.get(&edge.src).max(order.get(&edge.dst)).copied();
            found.edges.iter().map(later).collect()
        };
        let mut with: Vec<Vec<&Edge>> = vec![Vec::new(); found.nodes.len()];
        for (edge, place) in found.edges.iter().zip(&comes) {
            if let Some(edges) = place.and_then(|place| with.get_mut(place)) {
                edges.push(edge);
            }
        }
        let mut meter = self.meter();
        let mut taken = 0;
        for (reached, edges) in found.nodes.iter().zip(&with) {
            let mut parts: Vec<&dyn Rendered> = vec![reached];
            parts.extend(edges.iter().map(|edge| *edge as &dyn Rendered));
            taken += usize::from(meter.admits(&parts)?);
        }
        let account = meter.account();
        let Neighbourhood { mut nodes, edges, next } = found;
        let next = if account.cut.is_some() {
            taken.checked_sub(1).and_then(|last| nodes.get(last)).map(|last| last.cursor())
        } else {
            next
        };
        nodes.truncate(taken);
        let kept =
            edges.into_iter().zip(comes).filter(|(_, place)| place.is_some_and(|at| at < taken));
        let edges = kept.map(|(edge, _)| edge).collect();
        Ok((Neighbourhood { nodes, edges, next }, account))
    }
}

/// Something that has a JSON form.
pub trait Rendered {
    /// Its compact JSON.
    fn json(&self) -> serde_json::Result<String>;
}

impl<T: Serialize> Rendered for T {
    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// Spends a budget item by item.
#[derive(Debug)]
pub struct Meter<'a> {
    budget: &'a Budget,
    account: Account,
}

impl Meter<'_> {
    /// Whether the next item fits, which then is spent. Its parts are counted one by one. After the first that
    /// does not fit, none does, and no item is rendered any more.
    pub fn admits(&mut self, parts: &[&dyn Rendered]) -> Result<bool> {
        if let Some(cut) = &mut self.account.cut {
            cut.left_out += 1;
            return Ok(false);
        }
        let mut spent = Spent { nodes: self.account.spent.nodes + 1, ..self.account.spent };
        let over = |most: Option<u64>, spent: u64| most.is_some_and(|most| spent > most);
        let mut by = over(self.budget.nodes, spent.nodes).then_some(CutBy::Nodes);
        for part in parts.iter().take_while(|_| by.is_none()) {
            let text = part.json().map_err(|error| {
                Error::new(ErrorKind::Internal, "graph.budget", "an item has no JSON form")
                    .caused_by(error)
            })?;
            let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            let tokens =
                self.budget.counter.as_ref().map_or(bytes.div_ceil(4), |count| count(&text));
            spent.bytes = spent.bytes.saturating_add(bytes);
            spent.tokens = spent.tokens.saturating_add(tokens);
        }
        by = by
            .or_else(|| over(self.budget.bytes, spent.bytes).then_some(CutBy::Bytes))
            .or_else(|| over(self.budget.tokens, spent.tokens).then_some(CutBy::Tokens));
        match by {
            None => self.account.spent = spent,
            Some(by) => self.account.cut = Some(Cut { by, left_out: 1 }),
        }
        Ok(by.is_none())
    }

    /// Counts items that come after a cut and were never looked at.
    pub(crate) fn leave(&mut self, more: u64) {
        if let Some(cut) = &mut self.account.cut {
            cut.left_out += more;
        }
    }

    /// What was spent and left out so far.
    pub fn account(&self) -> Account {
        self.account
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_taken_is_a_beginning_and_the_rest_is_counted() {
        let items = || [json!("abcdef"), json!("a"), json!("abcdefghijklmnop"), json!("b")];
        let sized = [8, 3, 18, 3];
        for most in 0..40 {
            let (taken, account) = Budget::default().bytes(most).take(items()).unwrap();
            let mut room = most;
            let fit = sized.iter().take_while(|size| {
                let fits = room >= **size;
                room = room.saturating_sub(**size);
                fits
            });
            let fit = fit.count();
            assert_eq!(taken, items()[..fit], "{most}");
            let left = 4 - u64::try_from(fit).unwrap();
            assert_eq!(account.cut.map_or(0, |cut| cut.left_out), left);
            assert!(account.spent.bytes <= most);
        }
    }

    #[test]
    fn each_limit_says_that_it_was_the_one() {
        let items = || (0..10).map(|n| json!({ "n": n }));
        let by = |budget: Budget| budget.take(items()).unwrap().1.cut.map(|cut| cut.by);
        assert_eq!(by(Budget::default()), None);
        assert_eq!(by(Budget::default().nodes(10)), None);
        assert_eq!(by(Budget::default().nodes(9)), Some(CutBy::Nodes));
        assert_eq!(by(Budget::default().bytes(69)), Some(CutBy::Bytes));
        // {"n":0} is 7 bytes, which is 2 tokens.
        assert_eq!(by(Budget::default().tokens(20)), None);
        assert_eq!(by(Budget::default().tokens(19)), Some(CutBy::Tokens));
        assert_eq!(by(Budget::default().tokens(10).counted_by(|_| 1)), None);
        let none = Budget::default().nodes(0).take(items()).unwrap();
        assert_eq!((none.0.len(), none.1.cut.map(|cut| cut.left_out)), (0, Some(10)));
    }
}
