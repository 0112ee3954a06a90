//! `hexmem session ...`

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};
use hexmem_ports::{
    Error, ErrorKind, Limit, Name, Page, Result, Session, SessionCap, SessionId, Ttl, WhenFull,
};
use hexmem_sessions::{Client, Issued, Policy, Rotation, Sessions, Start, TOKEN_BYTES, Token};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Outcome;
use crate::arguments;
use crate::context::Context;
use crate::output::remark;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a session and print its token: the only time it is shown
    #[command(after_help = "Examples:
  TOKEN=$(hexmem session create --user alice --value '{\"role\": \"admin\"}')
  hexmem session create --cluster prod --service debugger --idle 5m --max 3")]
    Create(CreateArgs),
    /// Print a live session
    Show {
        /// The token, which speaks for itself whatever --tenant and --user, or the id of a session of
        /// --user; `-` reads it from stdin
        #[arg(value_name = "TOKEN|ID")]
        session: String,
    },
    /// List live sessions: of --user, of a cluster, or of a correlation id
    List {
        /// Those of all users on this cluster
        #[arg(long, value_name = "NAME", conflicts_with = "correlation")]
        cluster: Option<Name>,
        /// Those of all users with this correlation id
        #[arg(long, value_name = "NAME")]
        correlation: Option<Name>,
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = u32::MAX, hide_default_value = true)]
        limit: u32,
    },
    /// Mark a session as seen: its idle time starts anew
    Touch {
        /// The token; `-` reads it from stdin
        token: String,
    },
    /// Give a session a new token and print it
    Rotate {
        /// The token; `-` reads it from stdin
        token: String,
        /// How long the old token stays valid [default: it ends at once]
        #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
        grace: Option<Ttl>,
    },
    /// End a session, or all of --user
    #[command(after_help = "Examples:
  hexmem session revoke 0193a8f2-5c1e-7d40-9b57-5a2f4de1c001
  hexmem session revoke --all --user alice")]
    Revoke {
        /// The token, or the id of a session of --user; `-` reads it from stdin
        #[arg(value_name = "TOKEN|ID", required_unless_present = "all")]
        session: Option<String>,
        /// All sessions of --user
        #[arg(long, conflicts_with = "session")]
        all: bool,
        /// With --all: all but this one
        #[arg(long, value_name = "ID", requires = "all")]
        except: Option<Uuid>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What to keep with it
    #[arg(long, value_name = "JSON", value_parser = arguments::json)]
    value: Option<Value>,
    /// The cluster that an agent works on
    #[arg(long, value_name = "NAME")]
    cluster: Option<Name>,
    /// The correlation id of the work it is part of
    #[arg(long, value_name = "NAME")]
    correlation: Option<Name>,
    /// The agent's service identity
    #[arg(long, value_name = "NAME")]
    service: Option<Name>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// The client's user agent
    #[arg(long, value_name = "TEXT")]
    user_agent: Option<String>,
    /// It ends when unseen for this long [default: 30m]
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    idle: Option<Ttl>,
    /// It ends this long from now in any case [default: 8h]
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    absolute: Option<Ttl>,
    /// How many live sessions the user may have
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max: Option<u32>,
    /// What happens when they have so many
    #[arg(long, value_enum, default_value_t = Full::Evict, requires = "max")]
    when_full: Full,
}

/// What a create does at the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Full {
    /// End the one that was not seen for the longest time
    Evict,
    /// Refuse the new one
    Refuse,
}

impl CreateArgs {
    fn policy(&self) -> Policy {
        let when_full = match self.when_full {
            Full::Evict => WhenFull::EvictOldest,
            Full::Refuse => WhenFull::Refuse,
        };
        let usual = policy();
        let absolute = self.absolute.unwrap_or(usual.absolute);
        Policy {
            idle: self.idle.unwrap_or(usual.idle.min(absolute)),
            absolute,
            cap: self.max.map(|max| SessionCap { max, when_full }),
            ..usual
        }
    }
}

/// On the command line every touch counts, and tokens change when told to.
fn policy() -> Policy {
    Policy { renewal: None, grace: None, coalesce: None, ..Policy::default() }
}

async fn service(context: &Context, policy: Policy) -> Result<Sessions> {
    Sessions::new(context.stores.sessions().await?, context.stores.clock(), policy)
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Create(args) => create(context, args).await?,
        Command::Show { session } => {
            let session = find(context, &session).await?;
            context.emit(&document(&session), || lines(&session))?;
        }
        Command::List { cluster, correlation, limit } => {
            list(context, cluster.as_ref(), correlation.as_ref(), limit).await?;
        }
        Command::Touch { token } => {
            let sessions = service(context, policy()).await?;
            let touched = sessions.touch(&token_only(&token)?).await?.ok_or_else(not_live)?;
            context.emit(&document(&touched), || lines(&touched))?;
        }
        Command::Rotate { token, grace } => {
            let (sessions, token) = (service(context, policy()).await?, token_only(&token)?);
            let rotated = sessions.rotate_with_grace(&token, Rotation::Privilege, grace).await?;
            issued(context, &rotated.ok_or_else(not_live)?)?;
        }
        Command::Revoke { session, except, .. } => {
            revoke(context, session.as_deref(), except.map(SessionId)).await?;
        }
    }
    Ok(Outcome::Done)
}

async fn create(context: &Context, args: CreateArgs) -> Result<()> {
    let sessions = service(context, args.policy()).await?;
    let client = Client::new(args.ip, args.user_agent.as_deref());
    let mut start = Start::new(context.owner()).data(args.value.unwrap_or_default()).client(client);
    if let Some(cluster) = args.cluster {
        start = start.cluster(cluster);
    }
    if let Some(correlation) = args.correlation {
        start = start.correlation(correlation);
    }
    if let Some(service) = args.service {
        start = start.service(service);
    }
    issued(context, &sessions.create(start).await?)
}

/// The token alone goes to stdout, so that a script can take it.
fn issued(context: &Context, issued: &Issued) -> Result<()> {
    let (token, session) = (issued.token.expose(), &issued.session);
    let document = json!({ "token": token, "id": session.id, "evicted": issued.evicted });
    if !context.json() {
        remark(&format!(
            "session {} of {}: ends at {} unless touched, and at {} in any case",
            session.id, session.owner, session.idle_expires_at, session.absolute_expires_at
        ));
        for id in &issued.evicted {
            remark(&format!("session {id} was ended: the user had too many"));
        }
    }
    context.emit(&document, || token)
}

async fn list(
    context: &Context,
    cluster: Option<&Name>,
    correlation: Option<&Name>,
    limit: u32,
) -> Result<()> {
    let sessions = service(context, policy()).await?;
    let (owner, tenant) = (context.owner(), &context.tenant);
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut found, mut cursor) = (Vec::new(), None);
    while found.len() < wanted {
        let rows = Limit::new(u32::try_from(wanted - found.len()).unwrap_or(1_000).min(1_000))?;
        let page: Page<Session> = match (cluster, correlation) {
            (Some(cluster), _) => sessions.list_by_cluster(tenant, cluster, cursor, rows).await?,
            (_, Some(correlation)) => {
                sessions.list_by_correlation(tenant, correlation, cursor, rows).await?
            }
            (None, None) => sessions.list(&owner, cursor, rows).await?,
        };
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let documents: Vec<_> = found.iter().map(document).collect();
    context.emit(&documents, || {
        if found.is_empty() {
            return "no live sessions; start one with: hexmem session create".into();
        }
        found.iter().fold(String::new(), |mut text, session| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{}  {}  seen {}  ends {}",
                session.id, session.owner, session.last_seen_at, session.idle_expires_at
            );
            text
        })
    })
}

/// `session` is a token or an id; none means all of the user, but for `except`.
async fn revoke(context: &Context, session: Option<&str>, except: Option<SessionId>) -> Result<()> {
    let (sessions, owner) = (service(context, policy()).await?, context.owner());
    let revoked = match session.map(handle).transpose()? {
        None => sessions.revoke_all(&owner, except).await?,
        Some(Handle::Token(token)) => u64::from(sessions.end(&token).await?),
        Some(Handle::Id(id)) => u64::from(sessions.revoke(&owner, id).await?),
    };
    context.emit(&json!({ "revoked": revoked }), || format!("revoked {revoked}"))
}

/// What names a session.
enum Handle {
    Token(Token),
    Id(SessionId),
}

/// A token or an id. The error does not repeat the text: it may be most of a secret.
fn handle(text: &str) -> Result<Handle> {
    let text = given(text)?;
    if let Some(token) = Token::parse(&text) {
        return Ok(Handle::Token(token));
    }
    text.parse().map(|id| Handle::Id(SessionId(id))).map_err(|_| {
        Error::invalid(
            "session",
            format!(
                "neither a token ({TOKEN_BYTES} characters from `session create`) \
                 nor an id (from `session list`)"
            ),
        )
        .with("characters", text.chars().count())
    })
}

fn token_only(text: &str) -> Result<Token> {
    match handle(text)? {
        Handle::Token(token) => Ok(token),
        Handle::Id(_) => Err(Error::invalid(
            "session",
            "this takes the token: an id is public and proves nothing",
        )),
    }
}

/// The argument, or what stdin holds: a token in the arguments can be seen by others on the machine.
fn given(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.trim().to_owned());
    }
    let mut read = String::new();
    std::io::stdin().lock().take(1_024).read_to_string(&mut read).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "session", "cannot read standard input").caused_by(error)
    })?;
    Ok(read.trim().to_owned())
}

async fn find(context: &Context, text: &str) -> Result<Session> {
    let sessions = service(context, policy()).await?;
    let found = match handle(text)? {
        Handle::Token(token) => sessions.find(&token).await?,
        Handle::Id(id) => sessions.get(&context.owner(), id).await?,
    };
    found.ok_or_else(not_live)
}

fn not_live() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "session",
        "no such live session: it never was, has ended, or is another user's (--tenant, --user)",
    )
}

/// All but the auth hash, which is nobody's to read.
fn document(session: &Session) -> Value {
    let origin = &session.origin;
    json!({
        "id": session.id,
        "tenant": session.owner.tenant,
        "user": session.owner.user,
        "data": session.data,
        "version": session.version,
        "cluster": origin.cluster,
        "correlation": origin.correlation,
        "service": origin.service,
        "ip": origin.ip,
        "user_agent": origin.user_agent,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "idle_expires_at": session.idle_expires_at,
        "absolute_expires_at": session.absolute_expires_at,
        "token_issued_at": session.token_issued_at,
    })
}

/// A field a line; absent ones are left out.
fn lines(session: &Session) -> String {
    let fields = document(session);
    let fields = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.fold(String::new(), |mut text, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, "{name:20} ");
        for character in value.chars() {
            // A client's words must not steer the terminal. Writing to a String cannot fail.
            let _ = match character.is_control() {
                true => write!(text, "{}", character.escape_default()),
                false => text.write_char(character),
            };
        }
        text.push('\n');
        text
    })
}
