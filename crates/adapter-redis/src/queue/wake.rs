//! Wake-ups of those who wait at a queue in this process: one connection that listens for all queues.
//!
//! Scripts publish on two channels of a queue's tag (sharded, so that a Cluster carries a message to one shard only): how
//! many commands came to be ready, and which commands ended. A message lost costs time, never a command: who waits looks
//! again when something falls due, and every few seconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hexmem_ports::CommandId;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::JoinHandle;

use super::listen;
use crate::RedisConfig;

/// What is said to those who wait at one channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Rung for each command that came to be ready; or for everybody.
    ready: Notify,
    /// Those who wait for one command's end, by its id.
    ends: Mutex<HashMap<CommandId, Arc<Notify>>>,
    /// Whether the server was heard to agree to the subscription, and the connection lives.
    is_live: AtomicBool,
    /// Whether one of the waiters watches what falls due; the others sleep longer.
    is_watched: AtomicBool,
    ears: Mutex<usize>,
}

/// The channels that somebody waits at, and the task that listens.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the task and the waiters share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    channels: Mutex<HashMap<String, Arc<Channel>>>,
    /// Rung when the channels that are waited at, or that are heard, change.
    pub(super) wanted: Notify,
    /// Rung when the connection ended.
    pub(super) ended: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a channel's name says what it is.
pub(super) const READY: &str = ":ready";
pub(super) const ENDED: &str = ":ended";

impl Shared {
    /// The channels that are waited at, and whether each is heard.
    pub(super) fn channels(&self) -> HashMap<String, bool> {
        let channels = lock(&self.channels);
        let live = |channel: &Channel| channel.is_live.load(Ordering::Acquire);
        channels.iter().map(|(name, channel)| (name.clone(), live(channel))).collect()
    }

    fn channel(&self, name: &str) -> Option<Arc<Channel>> {
        lock(&self.channels).get(name).cloned()
    }

    /// The server agreed to a subscription: whoever looked before that looks again.
    pub(super) fn subscribed(&self, name: &str) {
        if let Some(channel) = self.channel(name) {
            channel.is_live.store(true, Ordering::Release);
            channel.ring_all();
        }
    }

    /// The connection is gone: everybody looks again, and often until it is back.
    pub(super) fn lost(&self) {
        let channels: Vec<_> = lock(&self.channels).values().cloned().collect();
        for channel in channels {
            channel.is_live.store(false, Ordering::Release);
            channel.ring_all();
        }
    }

    /// A message from the server. Runs on the connection's own task, so it only rings.
    pub(super) fn heard(&self, push: &PushInfo) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::SMessage, [name, message]) => {
                let (Some(name), Some(message)) = (bytes(name), bytes(message)) else { return };
                let channel = std::str::from_utf8(name).ok().and_then(|name| self.channel(name));
                let Some(channel) = channel else { return };
                if name.ends_with(READY.as_bytes()) {
                    let count =
                        std::str::from_utf8(message).ok().and_then(|text| text.parse().ok());
                    channel.ring(count.unwrap_or(usize::MAX));
                } else {
                    channel.ring_ended(message);
                }
            }
            (PushKind::SSubscribe, [name, ..]) => {
                if let Some(name) = bytes(name).and_then(|name| std::str::from_utf8(name).ok()) {
                    self.subscribed(name);
                }
            }
            // Without being asked for: the slot moves to another server.
            (PushKind::SUnsubscribe, [name, ..]) => {
                let name = bytes(name).and_then(|name| std::str::from_utf8(name).ok());
                if let Some(channel) = name.and_then(|name| self.channel(name)) {
                    channel.is_live.store(false, Ordering::Release);
                    channel.ring_all();
                    self.wanted.notify_one();
                }
            }
            (PushKind::Disconnection, _) => {
                self.lost();
                self.ended.notify_one();
            }
            _ => {}
        }
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

impl Channel {
    fn ring(&self, count: usize) {
        let ears = *lock(&self.ears);
        for _ in 0..count.min(ears) {
            self.ready.notify_one();
        }
    }

    fn ring_all(&self) {
        self.ready.notify_waiters();
        lock(&self.ends).values().for_each(|bell| bell.notify_waiters());
    }

    fn ring_ended(&self, ids: &[u8]) {
        let ends = lock(&self.ends);
        for id in ids.chunks_exact(16) {
            let id = uuid::Uuid::from_slice(id).ok().map(CommandId);
            if let Some(bell) = id.and_then(|id| ends.get(&id)) {
                bell.notify_waiters();
            }
        }
    }
}

impl Bells {
    /// Listens at a channel until the ear is dropped. The first ear opens the connection.
    pub(super) fn listen(&self, config: &RedisConfig, name: String) -> Ear {
        let (channel, is_new) = {
            let mut channels = lock(&self.shared.channels);
            let is_new = !channels.contains_key(&name);
            let channel = Arc::clone(channels.entry(name.clone()).or_default());
            *lock(&channel.ears) += 1;
            (channel, is_new)
        };
        let mut task = lock(&self.task);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(listen::run(Arc::clone(&self.shared), config.clone())));
        }
        if is_new {
            self.shared.wanted.notify_one();
        }
        let shared = Arc::clone(&self.shared);
        Ear { shared, name, channel, watches: AtomicBool::new(false), end: None }
    }
}

impl Drop for Bells {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// Somebody who waits at a channel.
#[derive(Debug)]
pub(super) struct Ear {
    shared: Arc<Shared>,
    name: String,
    channel: Arc<Channel>,
    watches: AtomicBool,
    end: Option<(CommandId, Arc<Notify>)>,
}

impl Ear {
    /// Listens for the end of one command alone.
    pub(super) fn of(mut self, id: CommandId) -> Self {
        let bell = Arc::clone(lock(&self.channel.ends).entry(id).or_default());
        self.end = Some((id, bell));
        self
    }

    /// Hears every ring after its `enable`.
    pub(super) fn hear(&self) -> Notified<'_> {
        self.end.as_ref().map_or(&self.channel.ready, |(_, bell)| bell).notified()
    }

    /// Whether rings come.
    pub(super) fn is_live(&self) -> bool {
        self.channel.is_live.load(Ordering::Acquire)
    }

    /// Whether this one looks when something falls due: one of all who wait here.
    pub(super) fn watches(&self) -> bool {
        let mine = &self.watches;
        if !mine.load(Ordering::Acquire) {
            mine.store(!self.channel.is_watched.swap(true, Ordering::AcqRel), Ordering::Release);
        }
        mine.load(Ordering::Acquire)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some((id, bell)) = self.end.take() {
            let mut ends = lock(&self.channel.ends);
            // Two here: the map's and this one.
            if Arc::strong_count(&bell) <= 2 {
                ends.remove(&id);
            }
        }
        let mut channels = lock(&self.shared.channels);
        let left = {
            let mut ears = lock(&self.channel.ears);
            *ears = ears.saturating_sub(1);
            *ears
        };
        if left == 0 {
            channels.remove(&self.name);
            self.shared.wanted.notify_one();
        }
        drop(channels);
        if self.watches.load(Ordering::Acquire) {
            // Another takes over.
            self.channel.is_watched.store(false, Ordering::Release);
            self.channel.ready.notify_one();
        }
    }
}
