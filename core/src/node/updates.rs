//! Status updates: sent until they are acknowledged.

use alloc::vec::Vec;
use core::mem;

use super::{Effect, Node};
use crate::backoff::Backoff;
use crate::task::TaskStatus;
use crate::time::Now;

impl Node {
    /// Has what is due sent again.
    pub(super) fn retry(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.close_idle(now, out);
        if !self.connected {
            return;
        }
        while let Some(&(at, id)) = self.retries.first().filter(|&&(at, _)| at <= now) {
            self.retries.remove(&(at, id));
            let task = self.tasks.get_mut(&id).expect("only held tasks are sent again");
            task.retry = None;
            task.wait = Backoff::longer(task.wait, self.config.retry_max);
            task.forget_sent();
            self.enqueue(id);
        }
    }

    /// Makes the updates that the batch has led to, one for each task however often its state changed, and sends
    /// them if there is a master to send them to.
    pub(super) fn send(&mut self, now: Now, out: &mut Vec<Effect>) {
        let mut batch = mem::take(&mut self.answers);
        let mut of_queues = Vec::new();
        let agent = self.id;
        for id in mem::take(&mut self.queue) {
            self.close_if_over(now, id);
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            task.queued = false;
            task.tell();
            task.tell_queue(agent);
            if !self.connected {
                continue;
            }
            let before = batch.len();
            batch.extend(task.take_unsent());
            let sends_ends = task.queue.as_mut().is_some_and(|queue| queue.take_unsent(&mut of_queues));
            if (batch.len() > before || sends_ends) && task.retry.is_none() {
                if task.wait.is_zero() {
                    task.wait = self.config.retry_first;
                }
                let at = now + task.wait;
                task.retry = Some(at);
                self.retries.insert((at, id));
            }
        }
        if self.connected && !batch.is_empty() {
            out.push(Effect::Send(batch.into_iter().map(|status| TaskStatus { agent, ..status }).collect()));
        }
        if !of_queues.is_empty() {
            out.push(Effect::SendQueue(of_queues));
        }
    }
}
