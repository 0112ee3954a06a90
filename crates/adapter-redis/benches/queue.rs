//! A queue's cycle (enqueue, lease, acknowledge) beside three scripts that do the bare minimum of the same: payload, order,
//! a lease with an end, and a result that is kept for a while.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a benchmark fails by panicking, and says what it needs"
)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use futures::future::join_all;
use hexmem_adapter_redis::{Redis, RedisConfig, RedisQueue};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{
    Ack, CommandId, CommandQueue as _, LeaseRequest, Limit, Name, NewCommand, QueueId, Tenant, Ttl,
    WhenIdle,
};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands as _, Script};
use uuid::Uuid;

const URL: &str = "HEXMEM_TEST_REDIS_URL";
/// What both sides store.
const PAYLOAD: [u8; 100] = [b'x'; 100];
/// How long both sides keep a result.
const KEPT: Duration = Duration::from_secs(1);

const ENQUEUE: &str = "
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1] .. ':' .. ARGV[i], 'payload', ARGV[i + 1], 'attempts', 0)
  redis.call('ZADD', KEYS[1] .. ':ready', redis.call('INCR', KEYS[1] .. ':seq'), ARGV[i])
end
return #ARGV / 2";

const LEASE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken = redis.call('ZPOPMIN', KEYS[1] .. ':ready', ARGV[1])
local answer = {}
for i = 1, #taken, 2 do
  local key = KEYS[1] .. ':' .. taken[i]
  redis.call('HSET', key, 'lease', ARGV[2 + (i + 1) / 2])
  redis.call('HINCRBY', key, 'attempts', 1)
  redis.call('ZADD', KEYS[1] .. ':leased', now + ARGV[2], taken[i])
  answer[i] = taken[i]
  answer[i + 1] = redis.call('HGET', key, 'payload')
end
return answer";

const ACK: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local done = 0
for i = 2, #ARGV, 2 do
  local key = KEYS[1] .. ':' .. ARGV[i]
  local until_at = redis.call('ZSCORE', KEYS[1] .. ':leased', ARGV[i])
  if until_at and tonumber(until_at) > now and redis.call('HGET', key, 'lease') == ARGV[i + 1] then
    redis.call('ZREM', KEYS[1] .. ':leased', ARGV[i])
    redis.call('HSET', key, 'result', 'done')
    redis.call('PEXPIRE', key, ARGV[1])
    done = done + 1
  end
end
return done";

fn main() {
    let Ok(url) = std::env::var(URL) else {
        eprintln!("queue: NOT RUN: {URL} is not set; `cargo xtask services start` starts a server");
        return;
    };
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let prefix = format!("bench:{}:", Uuid::new_v4().simple());
    let (ours, raw) = runtime.block_on(async {
        (Ours::open(&url, &prefix).await, Raw::open(&url, format!("{prefix}raw")).await)
    });
    let sweeper = runtime.spawn(sweep(ours.store.clone()));
    let mut group = criterion.benchmark_group("redis queue cycle");
    for batch in [1_u32, 100] {
        for workers in [1_u32, 4, 16] {
            let input = format!("batch {batch}, workers {workers}");
            group.throughput(Throughput::Elements((batch * workers).into()));
            group.bench_function(BenchmarkId::new("hexmem", &input), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(join_all((0..workers).map(|_| ours.cycle(batch))));
                });
            });
            group.bench_function(BenchmarkId::new("raw scripts", &input), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(join_all((0..workers).map(|_| raw.cycle(batch))));
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    sweeper.abort();
    runtime.block_on(raw.remove(&prefix));
}

/// What any instance does beside its work: results whose time is over leave. The bare scripts let the server do it.
async fn sweep(store: RedisQueue) {
    loop {
        let limit = Limit::new(10_000).unwrap();
        let swept = store.sweep(limit).await.unwrap();
        let pause = if swept > 0 { 5 } else { 100 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

struct Ours {
    store: RedisQueue,
    queue: QueueId,
    worker: Name,
}

impl Ours {
    async fn open(url: &str, prefix: &str) -> Self {
        let store = Redis::connect(RedisConfig::new(url).prefix(prefix)).await.unwrap().queue();
        let name = |text: &str| Name::new(text).unwrap();
        let queue = QueueId::new(Tenant(name("bench")), name("q"));
        Self { store, queue, worker: name("worker") }
    }

    async fn cycle(&self, batch: u32) {
        let command = |_| NewCommand {
            id: CommandId(Uuid::now_v7()),
            payload: PAYLOAD.to_vec(),
            headers: serde_json::Value::Null,
            priority: 0,
            delay: None,
            deadline: None,
            dedupe: None,
            group: None,
            retry: RetryPolicy::default(),
            result_ttl: Ttl::new(KEPT).unwrap(),
        };
        let commands = (0..batch).map(command).collect();
        self.store.enqueue(&self.queue, commands, WhenIdle::Store, Vec::new()).await.unwrap();
        let request = LeaseRequest {
            worker: self.worker.clone(),
            max: Limit::new(batch).unwrap(),
            visibility: Ttl::secs(30).unwrap(),
            wait: Duration::ZERO,
        };
        let leased = self.store.lease(&self.queue, request).await.unwrap();
        assert_eq!(leased.len(), usize::try_from(batch).unwrap());
        let ack =
            |one: hexmem_ports::Leased| Ack { lease: one.lease, result: Some(b"done".into()) };
        let acks = leased.into_iter().map(ack).collect();
        for done in self.store.ack(&self.queue, acks, Vec::new()).await.unwrap() {
            done.unwrap();
        }
    }
}

struct Raw {
    connection: ConnectionManager,
    key: String,
    enqueue: Script,
    lease: Script,
    ack: Script,
}

impl Raw {
    async fn open(url: &str, key: String) -> Self {
        let client = redis::Client::open(url).unwrap();
        let connection = ConnectionManager::new(client).await.unwrap();
        let of = Script::new;
        Self { connection, key, enqueue: of(ENQUEUE), lease: of(LEASE), ack: of(ACK) }
    }

    async fn cycle(&self, batch: u32) {
        let mut connection = self.connection.clone();
        let mut enqueue = self.enqueue.key(&self.key);
        for _ in 0..batch {
            enqueue.arg(Uuid::now_v7().as_bytes()).arg(&PAYLOAD);
        }
        let stored: u32 = enqueue.invoke_async(&mut connection).await.unwrap();
        assert_eq!(stored, batch);
        let secrets: Vec<Uuid> = (0..batch).map(|_| Uuid::new_v4()).collect();
        let mut lease = self.lease.key(&self.key);
        lease.arg(batch).arg(30_000_000);
        for secret in &secrets {
            lease.arg(secret.as_bytes());
        }
        let taken: Vec<(Vec<u8>, Vec<u8>)> = lease.invoke_async(&mut connection).await.unwrap();
        assert_eq!(taken.len(), secrets.len());
        let mut ack = self.ack.key(&self.key);
        ack.arg(u64::try_from(KEPT.as_millis()).unwrap());
        for ((id, _), secret) in taken.iter().zip(&secrets) {
            ack.arg(id).arg(secret.as_bytes());
        }
        let done: u32 = ack.invoke_async(&mut connection).await.unwrap();
        assert_eq!(done, batch);
    }

    async fn remove(&self, prefix: &str) {
        let mut connection = self.connection.clone();
        let keys: Vec<Vec<u8>> = {
            let mut found = connection.scan_match(format!("{prefix}*")).await.unwrap();
            let mut keys = Vec::new();
            while let Some(key) = found.next_item().await {
                keys.push(key.unwrap());
            }
            keys
        };
        for key in keys {
            let _: () = connection.unlink(key).await.unwrap();
        }
    }
}
