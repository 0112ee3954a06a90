//! `hexmem session ...`

mod create;
mod handle;
mod print;

use clap::{Args, Subcommand};
use hexmem_ports::{Limit, Name, Page, Result, Session, SessionId, Ttl};
use hexmem_sessions::{Link, Policy, Rotation, Sessions, merge_patch};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Outcome;
use crate::arguments;
use crate::context::Context;
use create::CreateArgs;
use handle::{Handle, find, handle, not_live, token_only};
use print::{document, issued, line, lines};

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
    /// List live sessions: of --user, of a cluster, of a correlation id, or the chain that one stands in
    List(ListArgs),
    /// Change what is kept with a session
    #[command(after_help = "Examples:
  hexmem session update $TOKEN '{\"role\": \"admin\", \"cart\": null}'   merges: null removes (RFC 7396)
  hexmem session update $TOKEN '{\"n\": 2}' --replace --if-version 7       only if it is still version 7")]
    Update {
        /// The token; `-` reads it from stdin
        token: String,
        /// What changes
        #[arg(value_name = "JSON", value_parser = arguments::json)]
        patch: Value,
        /// Replace all that is kept in place of merging
        #[arg(long)]
        replace: bool,
        /// Only where the session still has this version; otherwise nothing changes and the exit code is 1
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
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
        /// How long the old token stays valid, at most an hour [default: it ends at once]
        #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
        grace: Option<Ttl>,
    },
    /// End a session, or all of --user
    #[command(after_help = "Examples:
  hexmem session revoke 0193a8f2-5c1e-7d40-9b57-5a2f4de1c001
  hexmem session revoke --all --user alice
  hexmem session revoke --chain $TOKEN     and all that agents have started on its behalf")]
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
        /// Also the sessions that were started on its behalf, directly or not
        #[arg(long, conflicts_with = "all")]
        chain: bool,
    },
    /// How many sessions of the tenant are live
    Count,
    /// Free the space of sessions that ended longer ago than they are kept
    Sweep {
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those of all users on this cluster
    #[arg(long, value_name = "NAME", conflicts_with_all = ["correlation", "chain"])]
    cluster: Option<Name>,
    /// Those of all users with this correlation id
    #[arg(long, value_name = "NAME", conflicts_with = "chain")]
    correlation: Option<Name>,
    /// Those that agents have started on behalf of each other, parents first
    #[arg(long, value_name = "TOKEN|ID")]
    chain: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = u32::MAX, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
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
        Command::Create(args) => create::create(context, args).await?,
        Command::Show { session } => {
            let session = find(context, &session).await?;
            context.emit(&document(&session), || lines(&session))?;
        }
        Command::List(args) => list(context, &args).await?,
        Command::Update { token, patch, replace, if_version } => {
            update(context, &token, patch, replace, if_version).await?;
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
        Command::Revoke { session, except, chain, .. } => {
            let revoked = match session {
                Some(session) if chain => {
                    let session = find(context, &session).await?;
                    service(context, policy()).await?.revoke_chain(&session).await?
                }
                session => revoke(context, session.as_deref(), except.map(SessionId)).await?,
            };
            context.emit(&json!({ "revoked": revoked }), || format!("revoked {revoked}"))?;
        }
        Command::Count => {
            let sessions = service(context, policy()).await?;
            let count = sessions.active_count(&context.tenant).await?;
            context.emit(&json!({ "live": count.value, "exact": count.exact }), || {
                format!("{}{}", if count.exact { "" } else { "about " }, count.value)
            })?;
        }
        Command::Sweep { limit } => {
            let swept = service(context, policy()).await?.sweep(Limit::new(limit)?).await?;
            context.emit(&json!({ "swept": swept }), || format!("swept {swept}"))?;
        }
    }
    Ok(Outcome::Done)
}

async fn update(
    context: &Context,
    token: &str,
    patch: Value,
    replace: bool,
    version: Option<u64>,
) -> Result<()> {
    let (sessions, token) = (service(context, policy()).await?, token_only(token)?);
    let changed = |data: Value| if replace { patch.clone() } else { merge_patch(data, &patch) };
    let updated = match version {
        None => sessions.change(&token, |data| Ok(changed(data))).await?,
        Some(version) => match sessions.find(&token).await? {
            // What is merged is what that version holds: an update of any other version is refused.
            Some(session) => {
                sessions.update(&token, version, changed(session.data), vec![]).await?
            }
            None => None,
        },
    };
    let updated = updated.ok_or_else(not_live)?;
    context.emit(&document(&updated), || lines(&updated))
}

async fn list(context: &Context, args: &ListArgs) -> Result<()> {
    let sessions = service(context, policy()).await?;
    let wanted = usize::try_from(args.limit).unwrap_or(usize::MAX);
    if let Some(of) = &args.chain {
        let mut links = sessions.chain(&find(context, of).await?).await?;
        links.truncate(wanted);
        return chain(context, &links);
    }
    let (owner, tenant) = (context.owner(), &context.tenant);
    let (mut found, mut cursor) = (Vec::new(), None);
    while found.len() < wanted {
        let rows = Limit::new(u32::try_from(wanted - found.len()).unwrap_or(1_000).min(1_000))?;
        let page: Page<Session> = match (&args.cluster, &args.correlation) {
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
        found.iter().map(|session| line(session, 0)).collect::<Vec<_>>().join("\n")
    })
}

fn chain(context: &Context, links: &[Link]) -> Result<()> {
    let documents = links.iter().map(|link| {
        let mut fields = document(&link.session);
        fields["depth"] = json!(link.depth);
        fields
    });
    let documents: Vec<_> = documents.collect();
    context.emit(&documents, || {
        let lines = links.iter().map(|link| line(&link.session, link.depth));
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// `session` is a token or an id; none means all of the user, but for `except`.
async fn revoke(
    context: &Context,
    session: Option<&str>,
    except: Option<SessionId>,
) -> Result<u64> {
    let (sessions, owner) = (service(context, policy()).await?, context.owner());
    match session.map(handle).transpose()? {
        None => sessions.revoke_all(&owner, except).await,
        Some(Handle::Token(token)) => Ok(u64::from(sessions.end(&token).await?)),
        Some(Handle::Id(id)) => Ok(u64::from(sessions.revoke(&owner, id).await?)),
    }
}
