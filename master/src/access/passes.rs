//! What an agent may fetch: the artifacts that its tasks name, by a pass that came with the launch.
//!
//! A pass is a keyed hash of the agent and the artifact, so that nobody has to remember it: a master that was not there when the
//! task was launched knows it all the same.

use haggle_core::cluster::AgentOrder;
use haggle_core::{AgentId, Digest, TaskSpec};
use haggle_proto::{PASS, v1};
use haggle_tls::Secret;
use sha2::{Digest as _, Sha256};
use tonic::metadata::MetadataMap;
use zeroize::Zeroizing;

use super::known::is_same;
use crate::agent_mail::AgentMail;

/// What a block of SHA-256 has, in bytes.
const BLOCK: usize = 64;

/// Makes passes, and knows them again.
pub(crate) struct Passes {
    /// The same for all masters of the cluster, and through changes of its authority. Passes are made with the first.
    keys: Vec<Secret>,
}

impl Passes {
    pub(crate) fn new(keys: Vec<Secret>) -> Self {
        Self { keys }
    }

    /// Those for all that these orders launch.
    pub(crate) fn of(&self, agent: AgentId, orders: &[AgentMail]) -> Vec<v1::ArtifactPass> {
        let mut digests: Vec<Digest> = orders.iter().flat_map(launched).flat_map(named).collect();
        if digests.is_empty() {
            return Vec::new();
        }
        digests.sort_unstable_by_key(|digest| digest.0);
        digests.dedup();
        let key = self.keys.first().expect("there is a key");
        let pass = |digest: Digest| v1::ArtifactPass {
            digest: digest.0.to_vec(),
            proof: proof(key, agent, digest).0.to_vec(),
        };
        digests.into_iter().map(pass).collect()
    }

    /// Whether the call shows the pass of that agent for that artifact.
    pub(crate) fn are_shown(&self, metadata: &MetadataMap, agent: AgentId, digest: Digest) -> bool {
        let shown = metadata.get_bin(PASS).and_then(|shown| shown.to_bytes().ok());
        let Some(shown) = shown.and_then(|shown| <[u8; 32]>::try_from(&*shown).ok()) else { return false };
        self.keys.iter().any(|key| is_same(&proof(key, agent, digest), &Digest(shown)))
    }
}

fn launched(mail: &AgentMail) -> impl Iterator<Item = &TaskSpec> {
    let (one, queued) = match mail {
        AgentMail::Order(AgentOrder::Launch(spec)) | AgentMail::Large(AgentOrder::Launch(spec), _) => {
            (Some(spec), &[][..])
        }
        AgentMail::Order(AgentOrder::Enqueue { tasks, .. })
        | AgentMail::Large(AgentOrder::Enqueue { tasks, .. }, _) => (None, tasks.as_slice()),
        _ => (None, &[][..]),
    };
    one.into_iter().chain(queued.iter().map(|tasks| &tasks.spec)).map(|spec| &**spec)
}

fn named(spec: &TaskSpec) -> impl Iterator<Item = Digest> {
    std::iter::once(spec.module).chain(spec.inputs.iter().map(|input| input.content))
}

/// HMAC-SHA-256 of both.
fn proof(key: &Secret, agent: AgentId, digest: Digest) -> Digest {
    let keyed = |with: u8| {
        let mut block = Zeroizing::new([with; BLOCK]);
        block.iter_mut().zip(key.bytes().iter()).for_each(|(byte, key)| *byte ^= key);
        let mut hash = Sha256::new();
        hash.update(*block);
        hash
    };
    let mut inner = keyed(0x36);
    inner.update(agent.0.to_be_bytes());
    inner.update(digest.0);
    let mut outer = keyed(0x5c);
    outer.update(inner.finalize());
    Digest(outer.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_agent_and_one_artifact_by_one_key() {
        let keys = [1, 2].map(|byte| Secret::new([byte; 32]));
        let mut proofs = Vec::new();
        for key in &keys {
            for agent in [1, 2] {
                proofs.extend([3, 4].map(|byte| proof(key, AgentId(agent), Digest([byte; 32])).0));
            }
        }

        assert_eq!(proof(&keys[0], AgentId(1), Digest([3; 32])).0, proofs[0]);
        proofs.sort_unstable();
        proofs.dedup();
        assert_eq!(proofs.len(), 8);
    }

    /// What Python's `hmac` makes of the same.
    #[test]
    fn a_proof_is_what_hmac_says() {
        let key = Secret::new([0x0b; 32]);

        let proof = proof(&key, AgentId(0x0102_0304_0506_0708), Digest([0xaa; 32]));

        assert_eq!(proof.hex(), "671dbcc53dc5d6551d514cb6249c6c1ff71ace3dfa87bcbac733ee0123a5d03a");
    }
}
