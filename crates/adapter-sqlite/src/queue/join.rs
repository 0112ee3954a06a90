//! Enqueueing inside a caller's own transaction.

use hexmem_ports::{Enqueued, NewCommand, QueueId, Result, WhenIdle};
use sqlx::{Executor as _, SqliteConnection};

use super::SqliteQueue;
use super::steps::Known;
use crate::Work;

const OPERATION: &str = "queue.enqueue_in";

impl SqliteQueue {
    /// Stores commands in a transaction of the caller's, on a connection of the caller's to the same file: they are
    /// there if and only if the caller's own rows are. Answers as
    /// [`enqueue`](hexmem_ports::CommandQueue::enqueue) does.
    ///
    /// Begin the transaction with `BEGIN IMMEDIATE`. A deferred one may find at its first write that another has
    /// written since its first read, and is refused then (`Unavailable`); that is SQLite's rule. A refusal takes back
    /// what this call did and leaves the caller's transaction open. Workers of this process look when
    /// [`wake`](Self::wake) is called after the commit, without it within half a second.
    ///
    /// A future of this that is dropped before its end leaves the transaction to be rolled back.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use hexmem_adapter_memory::SystemClock;
    /// # use hexmem_adapter_sqlite::{Database, SqliteConfig};
    /// use hexmem_ports::{CommandId, NewCommand, QueueId, Ttl, WhenIdle, rules::RetryPolicy};
    /// # use hexmem_ports::{Name, Tenant};
    /// use sqlx::{Connection, Executor, SqliteConnection};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// # let queue = QueueId::new(Tenant(Name::new("acme")?), Name::new("mail")?);
    /// # let command = NewCommand { id: CommandId(uuid::Uuid::nil()), payload: b"welcome".to_vec(),
    /// #     headers: serde_json::Value::Null, priority: 0, delay: None, deadline: None, dedupe: None, group: None,
    /// #     retry: RetryPolicy::default(), result_ttl: Ttl::secs(60)? };
    /// let database = Database::open(SqliteConfig::new(&path), Arc::new(SystemClock)).await?;
    /// let store = database.queue();
    ///
    /// let mut mine = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
    /// mine.execute("CREATE TABLE customer (name TEXT)").await?;
    /// let mut tx = mine.begin_with("BEGIN IMMEDIATE").await?;
    /// tx.execute("INSERT INTO customer VALUES ('Ada')").await?;
    /// store.enqueue_in(&mut tx, &queue, vec![command], WhenIdle::Store).await?;
    /// tx.commit().await?;
    /// store.wake(&queue);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn enqueue_in(
        &self,
        connection: &mut SqliteConnection,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
    ) -> Result<Vec<Enqueued>> {
        commands.iter().try_for_each(|command| command.check(OPERATION))?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        // A savepoint within whatever the caller has begun, in whatever way.
        let begun = connection.execute("SAVEPOINT hexmem_enqueue").await;
        begun.map_err(|e| self.database.within(connection, OPERATION).error(e))?;
        // The write lock first, the present after it, as everywhere.
        let locked = connection.execute(include_str!("../sql/queue/lock.sql")).await;
        let mut work = self.database.within(connection, OPERATION);
        let done = match locked {
            Ok(_) => work.enqueue_all(queue, commands, when_idle).await,
            Err(error) => Err(work.error(error)),
        };
        let end = match &done {
            Ok(_) => "RELEASE hexmem_enqueue",
            Err(_) => "ROLLBACK TO hexmem_enqueue; RELEASE hexmem_enqueue",
        };
        let ended = work.connection().execute(end).await;
        let answers = done?;
        ended.map_err(|e| work.error(e))?;
        Ok(answers.into_iter().map(|(answer, _)| answer).collect())
    }

    /// Has the workers of this process that wait at the queue look at once: for after the commit of a transaction
    /// that [`enqueue_in`](Self::enqueue_in) took part in.
    pub fn wake(&self, queue: &QueueId) {
        self.database.bells().ring(&queue.digest());
    }
}

impl Work<'_> {
    /// Stores what is new of a list; each answer with whether it was stored by this call.
    pub(super) async fn enqueue_all(
        &mut self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
    ) -> Result<Vec<(Enqueued, bool)>> {
        let found = self.open_queue(queue).await?;
        let idle = self.is_idle(&found, when_idle).await?;
        let mut sequence = self.reserve(found.queue, commands.len()).await?;
        let ids = commands.iter().map(|command| command.id);
        let mut known = self.known(found.queue, ids).await?;
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let id = command.id;
            let before = known.get(&id).copied();
            let answer = self.enqueue_one(found.queue, command, sequence, idle, before).await?;
            if answer.1 {
                // A list may name one twice.
                known.insert(id, Known::STORED);
            }
            answers.push(answer);
            sequence += 1;
        }
        Ok(answers)
    }
}
