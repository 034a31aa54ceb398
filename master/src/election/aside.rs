//! A thread of its own for what is said to etcd.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Neither a lease nor a write waits behind the work of thousands of sessions: they are kept and done here, and sessions
/// are served elsewhere.
pub(crate) struct Aside(Option<Runtime>);

impl Aside {
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("haggle-etcd").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Makes something whose tasks belong here.
    pub(crate) fn make<T>(&self, made: impl FnOnce() -> T) -> T {
        let _here = self.runtime().enter();
        made()
    }

    /// Does something here; `None` when it panicked. It ends with this value, if it has not before.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.runtime().spawn(work).await.ok()
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is taken out when this is dropped")
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Whoever drops this may be one of a runtime's threads, which must not wait for another's.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_is_done_aside_is_done_on_a_thread_of_its_own() {
        let aside = Aside::start().unwrap();

        let done_on = aside.run(async { thread::current().name().map(str::to_owned) }).await.flatten();

        assert_eq!(done_on.as_deref(), Some("haggle-etcd"));
    }
}
