//! Every query at random times against a plain model, over memory. The program's tests do the same over SQLite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/model.rs"]
mod model;
#[path = "support/plays.rs"]
mod plays;
mod support;

use proptest::prelude::*;
use support::World;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn memory_answers_as_the_model(steps in plays::steps(), asked in plays::questions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            plays::plays(&world.graph("g"), &world.clock, &steps, &asked).await;
        });
    }
}
