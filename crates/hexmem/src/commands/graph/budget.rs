//! How much a read prints.

use clap::Args;
use hexmem_graph_memory::{Account, Budget, CutBy};

/// What an answer may be at most. It ends before the first node that does not fit.
#[derive(Debug, Clone, Args)]
pub(super) struct BudgetArgs {
    /// The most nodes to show
    #[arg(long, value_name = "N")]
    max_nodes: Option<u64>,
    /// The most bytes of compact JSON to show
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
    /// The most tokens of JSON to show, 4 bytes a token
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
}

impl BudgetArgs {
    /// With `nodes` where no limit is given.
    pub(super) fn or_nodes(&self, nodes: u64) -> Budget {
        let given = self.budget();
        let any = given.nodes.or(given.bytes).or(given.tokens).is_some();
        if any { given } else { given.nodes(nodes) }
    }

    pub(super) fn budget(&self) -> Budget {
        Budget {
            nodes: self.max_nodes,
            bytes: self.max_bytes,
            tokens: self.max_tokens,
            counter: None,
        }
    }
}

/// What was left out, as a line; empty when nothing was.
pub(super) fn cut_line(account: &Account) -> String {
    let Some(cut) = account.cut else { return String::new() };
    let option = match cut.by {
        CutBy::Nodes => "--max-nodes",
        CutBy::Bytes => "--max-bytes",
        CutBy::Tokens => "--max-tokens",
    };
    format!("... and {} more; raise {option}\n", cut.left_out)
}
