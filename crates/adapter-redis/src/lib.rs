//! Redis, Valkey and Redis Cluster behind the ports of hexmem.
//!
//! [`Redis::connect`] gives a handle; `redis.key_value()`, `.outbox()`, ... give the ports. Everything of one entity lies
//! under one hash tag and changes in one script, so that the same code is right on a single server and on a Cluster. What
//! a crash or a failover can lose is the server's to say: see `docs/redis.md`.

mod cache;
mod config;
mod connect;
mod directory;
mod error;
mod exchange;
mod inspect;
mod key_value;
mod keys;
mod link;
mod outbox;
mod pool;
mod queue;
mod reply;
mod script;
mod sessions;
mod target;

pub use cache::RedisCache;
pub use config::*;
pub use connect::Redis;
pub use inspect::*;
pub use key_value::RedisKeyValue;
pub(crate) use link::Call;
pub use outbox::RedisOutbox;
pub use queue::RedisQueue;
pub use sessions::RedisSessions;
