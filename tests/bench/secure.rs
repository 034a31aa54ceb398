//! What TLS, certificates and tokens cost: a cluster with them beside one in plain text on loopback.

use haggle_kit::{AgentFlags, Cluster};

use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::secured::Secured;
use crate::sides::{Side, compare};

/// How much dearer the secure side may be.
const DEARER: f64 = 1.10;

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let plain = Side::new("plain text on loopback", cluster.client().await).await?;
    let secured = Secured::start(&[]).await?;
    let token = secured.token("bench").await?;
    let client = Secured::client(&token).await?;
    let secure = Side::new("TLS, agent by certificate, framework by token", client).await?;
    compare(&plain, &secure, Goal::Below(DEARER), effort).await
}
