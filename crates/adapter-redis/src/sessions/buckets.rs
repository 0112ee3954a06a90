//! What spans all users: counting and sweeping.

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::{BUCKETS, Result};

use super::RedisSessions;
use crate::script::Script;

const ONE: &str = include_str!("../lua/sessions/one_bucket.lua");
const ALL: &str = include_str!("../lua/sessions/all_buckets.lua");
const COUNT: &str = include_str!("../lua/sessions/count.lua");
const DUE: &str = include_str!("../lua/sessions/due.lua");
const HELD: &str = include_str!("../lua/sessions/held.lua");

/// How many calls are under way at once.
const ABREAST: usize = 64;

/// A number of every bucket: in one script of a single server, in one script each of a Cluster.
pub(super) struct Tally {
    one: Script,
    all: Script,
}

/// Live sessions of the tenant given.
pub(super) static LIVE: Tally =
    Tally { one: Script::reads(&[COUNT, ONE]), all: Script::reads(&[COUNT, ALL]) };
/// Sessions to look at for sweeping.
pub(super) static TO_SWEEP: Tally =
    Tally { one: Script::reads(&[DUE, ONE]), all: Script::reads(&[DUE, ALL]) };
/// Sessions, dead ones included.
pub(super) static KEPT: Tally =
    Tally { one: Script::reads(&[HELD, ONE]), all: Script::reads(&[HELD, ALL]) };

impl RedisSessions {
    /// The number of each bucket, by bucket. Of one instant on a single server only.
    pub(super) async fn tally(
        &self,
        operation: &'static str,
        tally: &Tally,
        arg: &str,
    ) -> Result<Vec<u64>> {
        let read = async |script, bucket| {
            let tag = self.tag(bucket);
            let counts = self.0.script(script, &tag).arg(arg).run_alone(operation).await?;
            counts.list()?.map(|count| count.uint()).collect::<Result<Vec<u64>>>()
        };
        if !self.0.is_cluster() {
            return read(&tally.all, 0).await;
        }
        let counts: Vec<Vec<u64>> =
            futures::stream::iter((0..BUCKETS).map(|bucket| read(&tally.one, bucket)))
                .buffered(ABREAST)
                .try_collect()
                .await?;
        Ok(counts.into_iter().flatten().collect())
    }
}
