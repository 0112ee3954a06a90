//! What steps cost.

use hexmem_ports::{EdgeId, Error, Result};

/// What a step along an edge costs, by the edge's weight. A weight that a rule has no cost for is an error that
/// names the edge; a floor for weights keeps such edges out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cost {
    /// 1: the path of the fewest edges.
    #[default]
    Hops,
    /// The weight, read as a distance: not negative.
    Weight,
    /// 1 / weight: the weight is a strength, more than 0.
    Strength,
    /// 1 - weight: the weight is a likeness of 0 to 1.
    Unlikeness,
    /// -ln(weight): the weight is a probability, more than 0 and at most 1. The cheapest path is the likeliest
    /// if its edges are independent; its probability is exp(-cost).
    Unlikelihood,
}

impl Cost {
    /// The cost of an edge of this weight: finite, not negative.
    pub fn of(self, weight: f64) -> Result<f64> {
        let (cost, wanted) = match self {
            Self::Hops => (1.0, ""),
            Self::Weight => (weight, "as a distance it is not negative"),
            Self::Strength => (weight.recip(), "as a strength it is more than 0"),
            Self::Unlikeness => (1.0 - weight, "as a likeness it is 0 to 1"),
            Self::Unlikelihood => {
                (-weight.ln(), "as a probability it is more than 0 and at most 1")
            }
        };
        let likeness = self != Self::Unlikeness || weight >= 0.0;
        if cost.is_finite() && cost >= 0.0 && likeness {
            // -ln(1) is -0.
            return Ok(cost.abs());
        }
        Err(Error::invalid(
            "graph.path",
            format!(
                "an edge's weight has no cost: {wanted}; count hops, or set a floor for weights"
            ),
        )
        .with("weight", weight))
    }

    pub(crate) fn of_edge(self, weight: f64, edge: EdgeId) -> Result<f64> {
        self.of(weight).map_err(|error| error.with("edge", edge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_takes_its_weights_and_names_the_others() {
        for (cost, good, bad) in [
            (Cost::Hops, vec![(-1.0, 1.0), (0.0, 1.0)], vec![]),
            (Cost::Weight, vec![(0.0, 0.0), (2.5, 2.5)], vec![-0.5]),
            (Cost::Strength, vec![(4.0, 0.25)], vec![0.0, -0.0, -1.0, 5e-324]),
            (Cost::Unlikeness, vec![(0.0, 1.0), (1.0, 0.0)], vec![1.5, -0.5]),
            (Cost::Unlikelihood, vec![(1.0, 0.0)], vec![0.0, 2.0, -1.0]),
        ] {
            for (weight, is) in good {
                assert_eq!(
                    cost.of(weight).unwrap().to_bits(),
                    f64::to_bits(is),
                    "{cost:?} {weight}"
                );
            }
            for weight in bad {
                assert!(cost.of(weight).unwrap_err().to_string().contains("weight"), "{cost:?}");
            }
        }
    }
}
