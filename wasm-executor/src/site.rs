//! What every task of an executor shares.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::engine::Engines;
use crate::event::Listener;
use crate::module::Modules;
use crate::wasi::Files;

/// What every task of an executor shares.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) clock: Clock,
    pub(crate) engines: Arc<Engines>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) scratch_dir: PathBuf,
    pub(crate) files: Arc<Files>,
    pub(crate) allow_network: bool,
    pub(crate) listener: Arc<dyn Listener>,
}

impl Site {
    /// The same things, with references of one's own to hand out. Who counts references that all workers count waits for
    /// the other processors each time: some 50 ns, of which the start of a task would have a handful.
    pub(crate) fn near(&self) -> Arc<Self> {
        let files = Arc::new(Files::clone(&self.files));
        Arc::new(Self { files, listener: Arc::new(Arc::clone(&self.listener)), ..self.clone() })
    }
}
