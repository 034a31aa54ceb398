//! What this agent shows when it fetches an artifact: the pass that came with the launch of a task that names it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use haggle_core::Digest;
use haggle_proto::v1;

/// Passes that are kept: those of more artifacts than tasks wait for at once. A few megabytes.
const KEPT_MAX: usize = 65_536;

/// The latest for each artifact. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passes(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    passes: HashMap<Digest, Bytes>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Passes {
    /// Keeps those that came with launches. One for what is no digest is of no use.
    pub(crate) fn keep(&self, passes: Vec<v1::ArtifactPass>) {
        if passes.is_empty() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for v1::ArtifactPass { digest, proof } in passes {
            let Ok(digest) = digest.try_into().map(Digest) else { continue };
            if kept.passes.insert(digest, proof.into()).is_none() {
                kept.order.push_back(digest);
            }
        }
        while kept.order.len() > KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.passes.remove(&oldest);
        }
    }

    /// What to show for an artifact, if there is anything.
    pub(crate) fn of(&self, digest: Digest) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).passes.get(&digest).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(number: u32, proof: u8) -> v1::ArtifactPass {
        let mut digest = vec![0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        v1::ArtifactPass { digest, proof: vec![proof] }
    }

    fn digest(number: u32) -> Digest {
        Digest(pass(number, 0).digest.try_into().unwrap())
    }

    #[test]
    fn the_latest_pass_for_an_artifact_is_shown() {
        let passes = Passes::default();

        passes.keep(vec![pass(1, 1), pass(2, 2), pass(1, 3)]);
        passes.keep(vec![v1::ArtifactPass { digest: vec![1], proof: vec![9] }]);

        assert_eq!(
            [1, 2, 3].map(|number| passes.of(digest(number))),
            [Some(vec![3].into()), Some(vec![2].into()), None]
        );
    }

    #[test]
    fn there_is_an_end_to_how_many_are_kept() {
        let passes = Passes::default();
        let one_more = u32::try_from(KEPT_MAX).unwrap() + 1;

        passes.keep((1..=one_more).map(|number| pass(number, 1)).collect());

        assert!(
            passes.of(digest(1)).is_none() && passes.of(digest(2)).is_some() && passes.of(digest(one_more)).is_some()
        );
    }
}
