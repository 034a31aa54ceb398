//! As whom the agent comes to its masters, and that it has what it needs for that.

use std::future::pending;
use std::path::Path;
use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haggle_core::{AgentId, Member};
use haggle_tls::{Credentials, Token};
use tonic::transport::Uri;

use crate::StartError;
use crate::checkpoint;
use crate::config::{self, BadMaster, Config};
use crate::dial::Dialer;
use crate::join::{JoinError, enrol, renew_as_stranger};
use crate::membership::{self, Membership, MembershipError};
use crate::renewal::{self, Step};

/// Where the master of a user is who names none.
const ON_THIS_MACHINE: &str = "127.0.0.1";

#[derive(Debug)]
pub(crate) struct Admission {
    /// Of the cluster. At least one.
    masters: Vec<Uri>,
    dialer: Dialer,
    standing: Standing,
    /// Spreads the renewals of agents that joined together.
    random: u64,
}

#[derive(Debug)]
enum Standing {
    /// The user who runs the master has started the agent as well.
    Owner,
    /// It has a token, and no certificate yet.
    Joining {
        token: Box<Token>,
        membership: Membership,
        masters: String,
    },
    Certified {
        credentials: Box<Credentials>,
        membership: Membership,
    },
}

/// That an agent which comes without a certificate has a master on this machine: told before anything is written.
///
/// # Errors
/// When it has not, or the master's address is none.
pub(crate) fn check(config: &Config) -> Result<(), BadMaster> {
    let masters = config::master_uris(config.master.as_deref().unwrap_or(ON_THIS_MACHINE))?;
    if config.join.is_some() || checkpoint::pki(&config.work_dir).exists() {
        return Ok(());
    }
    config::on_this_machine(&masters)
}

impl Admission {
    /// Finds out as whom the agent in a work folder comes, and where its masters are. `member` is who it is by now.
    /// Whether it joins for the first time is said as well: who it was before is void then.
    ///
    /// # Errors
    /// When it cannot come.
    pub(crate) fn find(
        config: &Config,
        work_dir: &Path,
        membership: Membership,
        member: Option<Member<AgentId>>,
        random: u64,
    ) -> Result<Found, StartError> {
        let credentials = membership.credentials()?;
        if let (Some(credentials), Some(token)) = (&credentials, &config.join)
            && credentials.member().cluster != token.cluster
        {
            let (folder, member) = (work_dir.to_owned(), credentials.member());
            return Err(MembershipError::OtherCluster { folder, member, token: token.cluster }.into());
        }
        let lasting = credentials.filter(|credentials| {
            // A token helps one that was away for too long or while the authority changed, and only that one.
            config.join.as_ref().is_none_or(|token| {
                credentials.is_renewable(SystemTime::now())
                    && token.authority.is_some_and(|one| credentials.believes(one))
            })
        });
        if let Some(credentials) = lasting {
            let Member { cluster, id } = credentials.member();
            if config.join.is_some() {
                tracing::info!(agent = %id, %cluster, "this agent has joined that cluster already; it needs no token");
            }
            let masters = config.master.clone().map_or_else(|| membership.masters(), |named| Ok(Some(named)))?;
            let masters = config::master_uris(masters.as_deref().unwrap_or(ON_THIS_MACHINE))?;
            let dialer = Dialer::owner(None);
            dialer.certify(&credentials);
            let standing = Standing::Certified { credentials: Box::new(credentials), membership };
            return Ok(Found { admission: Self { masters, dialer, standing, random }, begins_anew: false });
        }
        if let Some(token) = &config.join {
            let begins_anew = membership.credentials()?.is_some();
            membership::check_token(token, work_dir, member.filter(|_| !begins_anew))?;
            let named = config.master.clone().unwrap_or_else(|| token.addresses.join(","));
            let masters = config::master_uris(&named)?;
            let standing = Standing::Joining { token: Box::new(token.clone()), membership, masters: named };
            let dialer = Dialer::owner(None);
            return Ok(Found { admission: Self { masters, dialer, standing, random }, begins_anew });
        }
        let masters = config::master_uris(config.master.as_deref().unwrap_or(ON_THIS_MACHINE))?;
        config::on_this_machine(&masters)?;
        let dialer = Dialer::owner(config.token.clone());
        Ok(Found { admission: Self { masters, dialer, standing: Standing::Owner, random }, begins_anew: false })
    }

    pub(crate) fn masters(&self) -> &[Uri] {
        &self.masters
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Whether masters of other machines are spoken to.
    pub(crate) fn goes_abroad(&self) -> bool {
        !matches!(self.standing, Standing::Owner)
    }

    /// Makes sure that the agent has a certificate, if it comes by one: joins, or has one renewed that has expired, or of
    /// which a master wants to know no more (`turned_away`).
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) async fn prepare(&mut self, turned_away: bool) -> Result<(), JoinError> {
        match &self.standing {
            Standing::Owner => Ok(()),
            Standing::Joining { token, membership, masters } => {
                let unusable = |error: MembershipError| JoinError::Refused(error.to_string());
                let key = membership.joining_key().map_err(unusable)?;
                let credentials = enrol(&self.masters, token, &key).await?;
                membership.joined(&credentials, masters).map_err(unusable)?;
                let Member { cluster, id } = credentials.member();
                tracing::info!(agent = %id, %cluster, "joined the cluster; the token is not needed any more");
                self.dialer.certify(&credentials);
                let (credentials, membership) = (Box::new(credentials), membership.clone());
                self.standing = Standing::Certified { credentials, membership };
                Ok(())
            }
            Standing::Certified { credentials, .. } => {
                let now = SystemTime::now();
                if !turned_away && !renewal::has_expired(credentials, now) {
                    return Ok(());
                }
                if renewal::step(credentials, self.random, now) == Step::JoinAnew {
                    return Err(JoinError::Refused(
                        "the agent's certificate expired more than 30 days ago, and nobody renews it any more: start the \
                         agent with --join and a new token (`haggle token create --kind agent`)"
                            .to_owned(),
                    ));
                }
                let credentials = renew_as_stranger(&self.masters, credentials).await?;
                self.renewed(credentials);
                Ok(())
            }
        }
    }

    /// Resolves with the next certificate, once it was due and there is one. Never for an agent without.
    pub(crate) fn renewal(&self) -> BoxFuture<'static, Credentials> {
        match &self.standing {
            Standing::Certified { credentials, .. } => {
                renewal::renewed(self.masters.clone(), (**credentials).clone(), self.random).boxed()
            }
            _ => pending().boxed(),
        }
    }

    /// The same, for one that is not due yet: its authority is ending.
    pub(crate) fn hastened_renewal(&self) -> BoxFuture<'static, Credentials> {
        match &self.standing {
            Standing::Certified { credentials, .. } => {
                renewal::hastened(self.masters.clone(), (**credentials).clone(), self.random).boxed()
            }
            _ => pending().boxed(),
        }
    }

    /// Shows this certificate from now on.
    pub(crate) fn renewed(&mut self, new: Credentials) {
        let Standing::Certified { credentials, membership } = &mut self.standing else { return };
        tracing::info!(until = ?new.certificate().not_after(), "the agent's certificate is renewed");
        if let Err(error) = membership.renewed(&new) {
            tracing::warn!(%error, "the renewed certificate cannot be kept; a restart renews the old one");
        }
        self.dialer.certify(&new);
        **credentials = new;
    }
}

/// As whom an agent comes.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) admission: Admission,
    /// Whether it joins as somebody new in the place of one who was away for too long.
    pub(crate) begins_anew: bool,
}
