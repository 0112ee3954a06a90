//! Clusters of a test's own.

use hexmem_adapter_redis::RedisConfig;

use crate::server::{Server, free_port, quick, wait_until};

const SLOTS: usize = 16_384;

/// Masters with equal parts of the slots, each with the same number of replicas.
pub struct Cluster {
    pub masters: Vec<Server>,
    pub replicas: Vec<Server>,
}

impl Cluster {
    pub fn start(masters: usize, replicas: usize) -> Self {
        let node = |_| {
            // A port of its own: the usual one is 10,000 further and may be taken.
            let bus = free_port().to_string();
            Server::start(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "500",
                "--cluster-config-file",
                "nodes.conf",
            ])
        };
        let cluster = Self {
            masters: (0..masters).map(node).collect(),
            replicas: (0..masters * replicas).map(node).collect(),
        };
        cluster.join();
        cluster
    }

    fn nodes(&self) -> impl Iterator<Item = &Server> {
        self.masters.iter().chain(&self.replicas)
    }

    fn join(&self) {
        let count = self.masters.len();
        for (index, master) in self.masters.iter().enumerate() {
            let (from, to) = (SLOTS * index / count, SLOTS * (index + 1) / count - 1);
            master.command(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            master.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        let first = &self.masters[0];
        for node in self.nodes().skip(1) {
            let bus: Vec<String> =
                redis::from_redis_value(first.command(&["CONFIG", "GET", "cluster-port"])).unwrap();
            let port = first.port().to_string();
            node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus[1]]);
        }
        for (replica, master) in self.replicas.iter().zip(self.masters.iter().cycle()) {
            let id = master.text(&["CLUSTER", "MYID"]);
            let follow = || replica.try_command(&["CLUSTER", "REPLICATE", &id]).is_ok();
            assert!(wait_until(follow), "a replica does not get to know its master");
        }
        let known = format!("cluster_known_nodes:{}\r\n", self.nodes().count());
        let whole = |node: &Server| {
            let info = node.text(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&known)
        };
        assert!(wait_until(|| self.nodes().all(whole)), "the cluster does not come together");
        assert!(
            self.replicas.is_empty() || wait_until(|| self.followed()),
            "a replica does not follow"
        );
    }

    /// The nodes that run.
    pub fn alive(&self) -> impl Iterator<Item = &Server> {
        self.nodes().filter(|node| node.runs())
    }

    /// Whether each master, whoever that is now, has its replica.
    pub fn followed(&self) -> bool {
        let masters: Vec<String> = self
            .alive()
            .map(|node| node.text(&["INFO", "replication"]))
            .filter(|info| info.contains("role:master"))
            .collect();
        masters.len() == self.masters.len()
            && masters.iter().all(|info| info.contains("state=online"))
    }

    pub fn config(&self) -> RedisConfig {
        let urls: Vec<String> = self.nodes().map(Server::url).collect();
        quick(RedisConfig {
            mode: hexmem_adapter_redis::RedisMode::Cluster,
            ..RedisConfig::new(urls.join(","))
        })
    }

    /// Tells all masters whom a slot belongs to.
    pub fn settle(&self, slot: u16, id: &str) {
        for master in &self.masters {
            master.command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", id]);
        }
    }
}

/// The slot of a key, by its hash tag.
pub fn slot(server: &Server, key: &str) -> u16 {
    redis::from_redis_value(server.command(&["CLUSTER", "KEYSLOT", key])).unwrap()
}
