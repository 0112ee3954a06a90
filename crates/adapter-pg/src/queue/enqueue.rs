//! Enqueueing: one statement for a list, also inside a caller's own transaction.

use std::collections::HashSet;

use hexmem_ports::{
    CommandId, Effect, Enqueued, NewCommand, QueueId, Result, Ttl, WhenIdle, check_effects,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::row::{AGAIN, group_hash, signed, small};
use super::{PgQueue, SLACK};
use crate::outbox::Effects;
use crate::query::{Query, State};
use crate::value::{At, Hash, micros};

const OPERATION: &str = "queue.enqueue";

/// What is stored at once, and is therefore behind all that was stored before.
const FRESH: i16 = 0;

/// A list of commands by columns.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    payloads: Vec<Vec<u8>>,
    headers: Vec<String>,
    priorities: Vec<i16>,
    delays: Vec<Option<i64>>,
    deadlines: Vec<Option<At>>,
    groups: Vec<Option<String>>,
    group_hashes: Vec<Option<Hash>>,
    max_attempts: Vec<i32>,
    base_ms: Vec<i64>,
    cap_ms: Vec<i64>,
    jitter: Vec<i16>,
    result_ttl: Vec<i64>,
    keys: Vec<Option<String>>,
    key_hashes: Vec<Option<Hash>>,
    windows: Vec<Option<i64>>,
}

impl Columns {
    fn push(&mut self, command: NewCommand) {
        self.ids.push(command.id.0);
        self.payloads.push(command.payload);
        self.headers.push(command.headers.to_string());
        self.priorities.push(command.priority);
        self.delays.push(command.delay.map(Ttl::as_micros));
        self.deadlines.push(command.deadline.map(At));
        self.group_hashes.push(command.group.as_ref().map(group_hash));
        self.groups.push(command.group.map(|group| group.as_str().to_owned()));
        self.max_attempts.push(small(command.retry.max_attempts));
        self.base_ms.push(signed(command.retry.base_ms));
        self.cap_ms.push(signed(command.retry.cap_ms));
        self.jitter.push(command.retry.jitter_percent.into());
        self.result_ttl.push(command.result_ttl.as_micros());
        self.key_hashes.push(command.dedupe.as_ref().map(|dedupe| group_hash(&dedupe.key)));
        self.windows.push(command.dedupe.as_ref().map(|dedupe| dedupe.window.as_micros()));
        self.keys.push(command.dedupe.map(|dedupe| dedupe.key.as_str().to_owned()));
    }
}

/// A column that no command of the list has is not sent: the queue pays only for what is used.
fn used<T>(column: Vec<Option<T>>) -> Option<Vec<Option<T>>> {
    column.iter().any(Option::is_some).then_some(column)
}

/// An answer each, and whether this call stored it.
pub(super) type Answers = Vec<(Enqueued, bool)>;

type Row = (Option<Vec<Uuid>>, Option<Vec<i16>>, Option<Vec<Option<Uuid>>>);

impl PgQueue {
    pub(super) async fn enqueue_list(
        &self,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        effects: Vec<Effect>,
    ) -> Result<Vec<Enqueued>> {
        commands.iter().try_for_each(|command| command.check(OPERATION))?;
        check_effects(OPERATION, &effects)?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let answers = if effects.is_empty() {
            let query = self.postgres.write(OPERATION, include_str!("../sql/queue/enqueue.sql"));
            self.send(query, queue, commands, when_idle, FRESH).await?
        } else {
            let effects = Effects::new(&self.postgres, OPERATION, &effects)?;
            let mut tx = self.postgres.begin(OPERATION).await?;
            let query = tx.query(include_str!("../sql/queue/enqueue.sql"));
            let mut stored = self.send(query, queue, commands, when_idle, AGAIN).await;
            if let Ok(answers) = &stored
                && answers.iter().any(|(_, newly)| *newly)
                && let Err(error) = tx.work().push_effects(&effects).await
            {
                stored = Err(error);
            }
            tx.finish(stored).await?
        };
        if answers.iter().any(|(_, newly)| *newly) {
            self.wake(queue);
        }
        Ok(answers.into_iter().map(|(answer, _)| answer).collect())
    }

    /// Stores commands in a transaction of the caller's, on a connection of the caller's to the same database: they are
    /// there if and only if the caller's own rows are. Answers as
    /// [`enqueue`](hexmem_ports::CommandQueue::enqueue) does. Workers that wait are woken by the commit.
    ///
    /// A failure of the server (not a refusal as `Invalid`, which sends nothing) spoils the transaction, as any failed
    /// statement does in PostgreSQL: roll back, or to a savepoint of your own. Until the commit, the transaction holds
    /// the locks of the groups and dedupe keys that it named, so keep it short. Its commands come after those whose
    /// enqueue began before, whenever it commits. What the first use of a queue writes is committed apart, on a
    /// connection of this handle's.
    ///
    /// A future of this that is dropped before its end leaves a connection to be closed.
    ///
    /// ```no_run
    /// # use hexmem_adapter_pg::{PgConfig, Postgres};
    /// # use hexmem_ports::{CommandId, Name, NewCommand, QueueId, Tenant, Ttl, WhenIdle, rules::RetryPolicy};
    /// use sqlx::{Connection, Executor, PgConnection};
    ///
    /// # async fn sign_up() -> Result<(), Box<dyn std::error::Error>> {
    /// # let url = "postgres://localhost/app";
    /// # let queue = QueueId::new(Tenant(Name::new("acme")?), Name::new("mail")?);
    /// # let command = NewCommand { id: CommandId(uuid::Uuid::now_v7()), payload: b"welcome".to_vec(),
    /// #     headers: serde_json::Value::Null, priority: 0, delay: None, deadline: None, dedupe: None, group: None,
    /// #     retry: RetryPolicy::default(), result_ttl: Ttl::secs(60)? };
    /// let store = Postgres::connect(PgConfig::new(url)).await?.queue();
    /// let mut mine = PgConnection::connect(url).await?;
    ///
    /// let mut tx = mine.begin().await?;
    /// tx.execute("INSERT INTO customer VALUES ('Ada')").await?;
    /// store.enqueue_in(&mut tx, &queue, vec![command], WhenIdle::Store).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enqueue_in(
        &self,
        connection: &mut PgConnection,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
    ) -> Result<Vec<Enqueued>> {
        const OPERATION: &str = "queue.enqueue_in";
        commands.iter().try_for_each(|command| command.check(OPERATION))?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.prepare(OPERATION, queue, &commands).await?;
        let mut state = State::default();
        let mut work = self.postgres.within(connection, &mut state, OPERATION);
        let query = work.query(include_str!("../sql/queue/enqueue.sql"));
        let answers = self.send(query, queue, commands, when_idle, AGAIN).await?;
        Ok(answers.into_iter().map(|(answer, _)| answer).collect())
    }

    /// Commits what a first use of the queue, of a priority or of groups writes: the caller's transaction may be long,
    /// and must not hold that.
    async fn prepare(
        &self,
        operation: &'static str,
        queue: &QueueId,
        commands: &[NewCommand],
    ) -> Result<()> {
        let mut priorities: Vec<i16> = commands.iter().map(|command| command.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        self.postgres
            .write(operation, include_str!("../sql/queue/prepare.sql"))
            .bind(Hash(queue.digest()))
            .bind(queue.tenant.as_str())
            .bind(queue.name.as_str())
            .bind(priorities)
            .bind(commands.iter().any(|command| command.group.is_some()))
            .execute()
            .await?;
        Ok(())
    }

    /// The list by one statement. `stage`: [`FRESH`] where the statement commits, else [`AGAIN`].
    pub(super) async fn send(
        &self,
        query: Query<'_>,
        queue: &QueueId,
        commands: Vec<NewCommand>,
        when_idle: WhenIdle,
        stage: i16,
    ) -> Result<Answers> {
        let ids: Vec<CommandId> = commands.iter().map(|command| command.id).collect();
        let mut columns = Columns::default();
        commands.into_iter().for_each(|command| columns.push(command));
        let idle = match when_idle {
            WhenIdle::Store => None,
            WhenIdle::Refuse(span) => Some(span.as_micros()),
        };
        let row: Row = query
            .bind(Hash(queue.digest()))
            .bind(queue.tenant.as_str())
            .bind(queue.name.as_str())
            .bind(stage)
            .bind(idle)
            .bind(micros(SLACK))
            .bind(columns.ids)
            .bind(columns.payloads)
            .bind(columns.headers)
            .bind(columns.priorities)
            .bind(used(columns.delays))
            .bind(used(columns.deadlines))
            .bind(used(columns.groups))
            .bind(used(columns.group_hashes))
            .bind(columns.max_attempts)
            .bind(columns.base_ms)
            .bind(columns.cap_ms)
            .bind(columns.jitter)
            .bind(columns.result_ttl)
            .bind(used(columns.keys))
            .bind(used(columns.key_hashes))
            .bind(used(columns.windows))
            .fetch_one()
            .await?;
        Ok(read(&ids, row))
    }
}

/// What the statement tells, for each of the list in order. A list may name one twice: the first is stored.
fn read(ids: &[CommandId], (stored, answers, firsts): Row) -> Answers {
    let mut stored: HashSet<Uuid> = stored.unwrap_or_default().into_iter().collect();
    let one = |(at, id): (usize, &CommandId)| {
        let answer = answers.as_ref().and_then(|answers| answers.get(at)).copied();
        let first = firsts.as_ref().and_then(|firsts| firsts.get(at)).copied().flatten();
        match (answer, first) {
            (Some(2), Some(first)) => (Enqueued::Duplicate(CommandId(first)), false),
            (Some(3), _) => (Enqueued::NoConsumer, false),
            _ => (Enqueued::Queued, stored.remove(&id.0)),
        }
    };
    ids.iter().enumerate().map(one).collect()
}
