//! A context that learns that the authority of its cluster has changed.

use haggle_sdk::Client;
use haggle_tls::Token;

use crate::contexts::{self, ContextError, Contexts};
use crate::error::CommandError;
use crate::target::{Origin, Target};

/// Keeps the token of the context by which the client came with the authority that the masters have by now, and says so
/// there. A token that was given in another way is its giver's to replace, who is told.
pub(super) async fn follow_authority(target: &Target, client: &Client) {
    let (Some(old), Some(new)) = (&target.token, client.followed_token()) else { return };
    let Origin::Context { name, .. } = &target.origin else {
        eprintln!(
            "haggle: the authority of the cluster is changing, and the token of {} names the one before: have another made \
             (`haggle token create`) before that is ended",
            target.origin
        );
        return;
    };
    if let Err(why) = keep_and_tell(name, old, &new, client).await {
        eprintln!("haggle: the context {name} does not know the new authority of its cluster yet: {why}");
    }
}

async fn keep_and_tell(name: &str, old: &Token, new: &Token, client: &Client) -> Result<(), CommandError> {
    if !keep(name, old, new)? {
        return Ok(());
    }
    let Some(authority) = new.authority else { return Ok(()) };
    if let Err(error) = client.follow_authority(authority).await {
        // So that the next command tells it.
        keep(name, new, old)?;
        return Err(error.into());
    }
    Ok(())
}

/// Puts a token in the place of another one; `false` when the context has a third by now.
fn keep(name: &str, old: &Token, new: &Token) -> Result<bool, ContextError> {
    Contexts::change(&contexts::file()?, |contexts| {
        let context = contexts.named.get_mut(name).filter(|context| context.token == *old);
        Ok(context.map(|context| context.token = new.clone()).is_some())
    })
}
