//! Random runs with crashes against the plain model of `conformance`, on one server and on a Cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_conformance::queue::model::{Ground, holds};
use hexmem_conformance::{TestClock, manual_time};
use hexmem_ports::CommandQueue;
use rig::{Servers, Space};

#[async_trait]
impl Ground for Space {
    async fn open(&self) -> Arc<dyn CommandQueue> {
        Arc::new(self.connect().await.queue())
    }

    fn clock(&self) -> Arc<dyn TestClock> {
        let moved = self.clock.clone();
        manual_time(self.clock.clone(), move |span| moved.advance(span))
    }
}

#[test]
fn one_server_is_the_model() {
    holds(200, 50, async || Space::new(Servers::Single));
}

#[test]
fn a_cluster_is_the_model() {
    holds(40, 50, async || Space::new(Servers::Cluster));
}
