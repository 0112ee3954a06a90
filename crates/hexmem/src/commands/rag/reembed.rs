//! `hexmem rag reembed`

use hexmem_ports::Result;
use serde_json::json;

use super::{CollectionArg, plain, service};
use crate::commands::Outcome;
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    collection: CollectionArg,
    /// Remove what one that was cut off has built, instead of going on with it
    #[arg(long)]
    abandon: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let id = args.collection.id(context);
    if args.abandon {
        let abandoned = plain(context).await?.abandon_reembed(&id).await?;
        context.emit(&json!({ "abandoned": abandoned }), || {
            let what =
                if abandoned { "what was built is removed" } else { "there is nothing of one" };
            what.to_owned()
        })?;
        return Ok(Outcome::Done);
    }
    let rag = service(context).await?;
    let total = context.stores.vectors().await?.info(&id).await?.map(|info| info.points);
    let progress = context.progress("chunks", total);
    let done = rag.reembed(&id, |chunks| progress.step(chunks)).await?;
    drop(progress);
    context.emit(&done, || {
        if done.unchanged {
            return format!("{} has the vectors of this embedder already", id.name);
        }
        format!(
            "{} chunks, {} of them embedded now; {} is switched",
            done.chunks, done.embedded, id.name
        )
    })?;
    Ok(Outcome::Done)
}
