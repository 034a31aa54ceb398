//! Which master leads, asked of each of them directly and all the time.

use std::sync::Arc;
use std::time::Duration;

use haggle_kit::{PATIENCE, loopback};
use haggle_proto::v1::GetMasterRequest;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_tls::{Authorized, Loopback, OwnerTokens, Pass};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long a master may take to answer before it counts as silent.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// A master that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) master: usize,
    pub(crate) epoch: u64,
}

/// The masters of a cluster.
pub(crate) struct Masters {
    urls: Vec<String>,
    leader: watch::Receiver<Option<Reign>>,
    asking: JoinHandle<()>,
}

impl Masters {
    /// Begins to ask.
    pub(crate) fn watch(urls: Vec<String>, tokens: OwnerTokens) -> Arc<Self> {
        let (told, leader) = watch::channel(None);
        let asking = tokio::spawn(ask(urls.clone(), tokens, told));
        Arc::new(Self { urls, leader, asking })
    }

    /// Who leads now, as far as is known.
    pub(crate) fn current(&self) -> Option<Reign> {
        *self.leader.borrow()
    }

    /// Waits until one leads.
    pub(crate) async fn leads(&self) -> Reign {
        self.wait(|_| true).await
    }

    /// Waits until one leads that is later than `epoch`.
    pub(crate) async fn leads_after(&self, epoch: u64) -> Reign {
        self.wait(|reign| reign.epoch > epoch).await
    }

    /// The address of the one that leads: host and port.
    pub(crate) fn address(&self) -> Option<String> {
        let leader = self.current()?;
        Some(self.urls[leader.master].trim_start_matches("http://").to_owned())
    }

    async fn wait(&self, is_wanted: impl Fn(Reign) -> bool) -> Reign {
        let mut leader = self.leader.clone();
        let found = timeout(PATIENCE, leader.wait_for(|leader| leader.is_some_and(&is_wanted))).await;
        let found = found.expect("gave up waiting until a master leads").expect("the masters are asked");
        found.expect("it was waited for")
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

async fn ask(urls: Vec<String>, tokens: OwnerTokens, told: watch::Sender<Option<Reign>>) {
    let endpoint = |url: &String| Endpoint::from_shared(url.clone()).expect("the address of a master").connect_lazy();
    let masters: Vec<(Loopback, Channel)> = urls.iter().map(|url| (loopback(url), endpoint(url))).collect();
    loop {
        // Another one after each start.
        let shown = masters.iter().map(|(at, channel)| Pass::owner(&tokens, *at).show(channel.clone()));
        let answers = futures_util::future::join_all(shown.map(epoch)).await;
        let led = answers.into_iter().enumerate().filter_map(|(master, epoch)| Some(Reign { master, epoch: epoch? }));
        let latest = led.max_by_key(|reign| reign.epoch);
        told.send_if_modified(|known| std::mem::replace(known, latest) != latest);
        sleep(ASK_EVERY).await;
    }
}

/// The epoch of a master that leads.
async fn epoch(master: Authorized<Channel>) -> Option<u64> {
    let asked = async { OperatorClient::new(master).get_master(GetMasterRequest {}).await };
    Some(timeout(ANSWER_WITHIN, asked).await.ok()?.ok()?.into_inner().epoch)
}
