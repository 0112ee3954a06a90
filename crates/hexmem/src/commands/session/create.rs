//! `hexmem session create`.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use hexmem_ports::{Name, Result, SessionCap, Ttl, WhenFull};
use hexmem_sessions::{Client, Policy, Start};
use serde_json::Value;

use super::handle::find;
use super::print::issued;
use super::{policy, service};
use crate::arguments;
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What to keep with it; --data '{...}' says the same
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
    /// The session on whose behalf an agent starts this one: its token, or its id where it is of --user; cluster and
    /// correlation id are taken from it, and this one ends no later
    #[arg(long, value_name = "TOKEN|ID")]
    parent: Option<String>,
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

pub(super) async fn create(context: &Context, args: CreateArgs) -> Result<()> {
    let sessions = service(context, args.policy()).await?;
    let client = Client::new(args.ip, args.user_agent.as_deref());
    let start = match &args.parent {
        None => Start::new(context.owner()),
        Some(parent) => Start::child_of(&find(context, parent).await?, context.owner()),
    };
    let mut start = start.data(args.value.unwrap_or_default()).client(client);
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
