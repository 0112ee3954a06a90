//! One statement and its arguments, run with a time limit and read to the end.
//!
//! To the end, because PostgreSQL commits after it has sent the rows: a row in hand is no acknowledgement.

use std::time::Duration;

use futures::TryStreamExt as _;
use hexmem_ports::{Error, ErrorKind, Result};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, FromRow, PgConnection, SqlStr,
    Type,
};
use tokio::time::timeout;

use crate::error::{self, Doing};
use crate::pool::{Lease, Pool};
use crate::{Pooling, Postgres};

/// The server ends a statement at its limit; a little later it is taken for hung.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// How often a statement that the server undid (a deadlock, a serialization failure) is run again.
const REPEATS: u32 = 3;

/// Arguments beyond this many bytes are not kept for a repeat.
const KEPT: usize = 64 * 1024;

/// A statement with its arguments.
#[must_use = "a statement does nothing until it is run"]
pub(crate) struct Query<'t> {
    target: Target<'t>,
    sql: SqlStr,
    arguments: PgArguments,
    bytes: usize,
    wrong: Option<Error>,
}

enum Target<'t> {
    /// By itself, on a connection of the pool.
    Alone { postgres: &'t Postgres, operation: &'static str, access: Access },
    /// Within a transaction.
    Within(Work<'t>),
}

/// What a statement by itself is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads what was acknowledged.
    Read,
    /// Reads, and may be told what was a moment ago.
    ReadLagging,
    /// Reads what the follower has, and nothing where it is away.
    ReadFollower,
    /// Changes.
    Write,
}

/// An open transaction, whoever began it: what statements run on, and how failures are told.
pub(crate) struct Work<'c> {
    pub(crate) postgres: &'c Postgres,
    pub(crate) connection: Result<&'c mut PgConnection>,
    pub(crate) place: &'c str,
    pub(crate) operation: &'static str,
    pub(crate) doing: Doing,
    /// How long one statement may take.
    pub(crate) limit: Duration,
    pub(crate) state: &'c mut State,
}

/// What became of a transaction so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// Every statement was answered.
    #[default]
    Open,
    /// A statement failed: the server would answer a commit with a rollback, without an error.
    Failed,
    /// The connection is of no more use.
    Broken,
}

impl Work<'_> {
    /// `port.method`, as errors name it.
    pub(crate) fn operation(&self) -> &'static str {
        self.operation
    }

    /// A statement of this transaction.
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_> {
        let Self { postgres, connection, place, operation, doing, limit, state } = self;
        let connection = match connection {
            Ok(connection) => Ok(&mut **connection),
            Err(error) => Err(error.shared()),
        };
        let (operation, doing, limit) = (*operation, *doing, *limit);
        Query::within(Work { postgres, connection, place, operation, doing, limit, state }, sql)
    }
}

impl<'t> Query<'t> {
    pub(crate) fn alone(
        postgres: &'t Postgres,
        operation: &'static str,
        access: Access,
        sql: &'static str,
    ) -> Self {
        Self::new(postgres.statement(sql), Target::Alone { postgres, operation, access })
    }

    pub(crate) fn within(work: Work<'t>, sql: &'static str) -> Self {
        Self::new(work.postgres.statement(sql), Target::Within(work))
    }

    fn new(sql: SqlStr, target: Target<'t>) -> Self {
        Self { target, sql, arguments: PgArguments::default(), bytes: 0, wrong: None }
    }

    /// The next argument, `$1` first.
    pub(crate) fn bind<'q, T>(mut self, value: T) -> Self
    where
        T: Encode<'q, sqlx::Postgres> + Type<sqlx::Postgres>,
    {
        self.bytes = self.bytes.saturating_add(value.size_hint());
        if let Err(cause) = self.arguments.add(value) {
            let operation = match &self.target {
                Target::Alone { operation, .. } => operation,
                Target::Within(work) => work.operation,
            };
            let at = self.arguments.len() + 1;
            self.wrong.get_or_insert_with(|| {
                Error::invalid(operation, "a value cannot be sent to PostgreSQL")
                    .with("argument", at)
                    .caused_by(cause)
            });
        }
        self
    }

    /// All rows.
    pub(crate) async fn fetch_all<R>(self) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, PgRow>,
    {
        let (operation, place) = self.named();
        let (rows, _) = self.run().await?;
        let decoded: sqlx::Result<Vec<R>> = rows.iter().map(R::from_row).collect();
        decoded.map_err(|e| error::map(operation, &place, Doing::Reading, e))
    }

    /// The first row, if any.
    pub(crate) async fn fetch_optional<R>(self) -> Result<Option<R>>
    where
        R: for<'r> FromRow<'r, PgRow>,
    {
        let (operation, place) = self.named();
        let (rows, _) = self.run().await?;
        let decoded = rows.first().map(R::from_row).transpose();
        decoded.map_err(|e| error::map(operation, &place, Doing::Reading, e))
    }

    /// The first row of a statement that always gives one.
    pub(crate) async fn fetch_one<R>(self) -> Result<R>
    where
        R: for<'r> FromRow<'r, PgRow>,
    {
        let (operation, _) = self.named();
        self.fetch_optional().await?.ok_or_else(|| {
            Error::new(ErrorKind::Internal, operation, "a statement gave no row where one is due")
        })
    }

    /// How many rows were changed.
    pub(crate) async fn execute(self) -> Result<u64> {
        Ok(self.run().await?.1)
    }

    fn named(&self) -> (&'static str, String) {
        match &self.target {
            Target::Alone { operation, postgres, .. } => (operation, postgres.place().to_owned()),
            Target::Within(work) => (work.operation, work.place.to_owned()),
        }
    }

    async fn run(self) -> Result<Answer> {
        let Self { target, sql, arguments, bytes, wrong } = self;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        match target {
            Target::Alone { postgres, operation, access } => {
                let statement = Statement { sql, arguments, keep: bytes <= KEPT };
                alone(postgres, operation, access, statement).await
            }
            Target::Within(work) => within(work, sql, arguments).await,
        }
    }
}

type Answer = (Vec<PgRow>, u64);

struct Statement {
    sql: SqlStr,
    arguments: PgArguments,
    keep: bool,
}

async fn alone(
    postgres: &Postgres,
    operation: &'static str,
    access: Access,
    statement: Statement,
) -> Result<Answer> {
    let replica = match access {
        Access::ReadLagging | Access::ReadFollower => postgres.replica(),
        Access::Read | Access::Write => None,
    };
    let Some(replica) = replica else {
        return on_pool(postgres, postgres.primary(), operation, access, statement).await;
    };
    let again = (statement.keep && access == Access::ReadLagging).then(|| statement.copy());
    match on_pool(postgres, replica, operation, access, statement).await {
        // A follower that is away, behind a migration, without the unlogged tables, or busy replaying what the read
        // stands in the way of, must not take the reads with it.
        Err(error) => {
            let Some(statement) = again else { return Err(error) };
            tracing::warn!(%error, "a read goes to the first server instead of its follower");
            on_pool(postgres, postgres.primary(), operation, access, statement).await
        }
        answer => answer,
    }
}

impl Statement {
    fn copy(&self) -> Self {
        Self { sql: self.sql.clone(), arguments: self.arguments.clone(), keep: self.keep }
    }
}

async fn on_pool(
    postgres: &Postgres,
    pool: &std::sync::Arc<Pool>,
    operation: &'static str,
    access: Access,
    statement: Statement,
) -> Result<Answer> {
    let mut next = Some(statement);
    let mut repeats = 0;
    loop {
        let Some(statement) = next.take() else {
            return Err(Error::new(ErrorKind::Internal, operation, "a statement is missing"));
        };
        let again = statement.keep.then(|| statement.copy());
        let mut lease = pool.acquire(operation).await?;
        let (doing, failed) =
            match attempt(postgres, &mut lease, operation, access, statement).await? {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
        drop(lease);
        repeats += 1;
        let lost = doing != Doing::Committing && error::lost(&failed);
        let demoted = error::demoted(&failed);
        if lost || demoted {
            pool.forget_idle();
        }
        if repeats < REPEATS && again.is_some() && (lost || demoted || error::undone(&failed)) {
            next = again;
            continue;
        }
        return Err(error::map(operation, pool.place(), doing, failed));
    }
}

/// One try. The outer failure is final, the inner one may be worth another.
async fn attempt(
    postgres: &Postgres,
    lease: &mut Lease,
    operation: &'static str,
    access: Access,
    Statement { sql, arguments, .. }: Statement,
) -> Result<std::result::Result<Answer, (Doing, sqlx::Error)>> {
    let within = postgres.config().statement_timeout() + GRACE;
    let explicit = postgres.config().pooling == Pooling::Transaction;
    let connection = lease.take_up(operation)?;
    let mut doing = match access {
        Access::Read | Access::ReadLagging | Access::ReadFollower => Doing::Reading,
        Access::Write if explicit => Doing::Within,
        Access::Write => Doing::Committing,
    };
    let work = async {
        if !explicit {
            return send(connection, postgres, sql, arguments).await;
        }
        // A pooler may give each message between transactions to another server connection, and the driver
        // prepares and executes in separate ones.
        simple(connection, &postgres.begin_with("BEGIN")).await?;
        let answer = send(connection, postgres, sql, arguments).await;
        if answer.is_err() {
            simple(connection, "ROLLBACK").await?;
            return answer;
        }
        if doing == Doing::Within {
            doing = Doing::Committing;
        }
        simple(connection, "COMMIT").await?;
        answer
    };
    let Ok(answer) = timeout(within, work).await else {
        return Err(error::timed_out(operation, lease.pool().place(), doing, within - GRACE));
    };
    if answer.as_ref().map_or_else(error::leaves_connection, |_| true) {
        lease.settle();
    }
    Ok(answer.map_err(|failed| (doing, failed)))
}

async fn within(work: Work<'_>, sql: SqlStr, arguments: PgArguments) -> Result<Answer> {
    let Work { postgres, connection, place, operation, doing, limit, state } = work;
    let connection = connection?;
    // Until the answer is there: a future that is dropped in the middle leaves it so.
    *state = State::Broken;
    match timeout(limit + GRACE, send(connection, postgres, sql, arguments)).await {
        Ok(Ok(answer)) => {
            *state = State::Open;
            Ok(answer)
        }
        Ok(Err(failed)) => {
            if error::leaves_connection(&failed) {
                *state = State::Failed;
            }
            if error::demoted(&failed) {
                postgres.primary().forget_idle();
            }
            Err(error::map(operation, place, doing, failed))
        }
        Err(_) => Err(error::timed_out(operation, place, doing, limit)),
    }
}

/// Runs a prepared statement and reads all that it answers, the end included.
async fn send(
    connection: &mut PgConnection,
    postgres: &Postgres,
    sql: SqlStr,
    arguments: PgArguments,
) -> sqlx::Result<Answer> {
    let (mut rows, mut changed) = (Vec::new(), 0);
    // The driver names each statement that it may keep, whether it keeps it or not: behind a pooler of transactions two
    // clients then use the same name on one server connection.
    let query = sqlx::query_with(sql, arguments).persistent(postgres.config().keeps_statements());
    let mut steps = connection.fetch_many(query);
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(done) => changed += done.rows_affected(),
            Either::Right(row) => rows.push(row),
        }
    }
    Ok((rows, changed))
}

/// Runs a text of this program's own, without arguments, in one round trip and unprepared.
pub(crate) async fn simple(connection: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())
}
