//! Volumes, as an operator sees to them.

use haggle_core::cluster::VolumeView;
use haggle_core::{AgentId, Bytes, VolumeId};
use haggle_proto::convert::Malformed;
use haggle_proto::v1;

use crate::client::Client;
use crate::error::CallError;
use crate::operator::{operator, request_bytes};

impl Client {
    /// Makes a volume of disk that is reserved for a role on an agent, in one piece that no task holds: it is offered to
    /// frameworks of that role and of those below it once its agent has made its folder. A call that has to be made again is
    /// carried out once.
    ///
    /// # Errors
    /// When there is not so much of that disk, one of that name is there, its agent is not connected, or the master cannot be
    /// reached.
    pub async fn create_volume(
        &self,
        agent: AgentId,
        role: &str,
        name: &str,
        size: Bytes,
    ) -> Result<VolumeId, CallError> {
        let request = request_bytes();
        let wanted = v1::CreateVolume { role: role.to_owned(), name: name.to_owned(), size_bytes: size.get() };
        let made = self
            .call(|channel| {
                let volume = Some(wanted.clone());
                let request = v1::CreateVolumeRequest { agent: agent.0, volume, request: request.clone() };
                async move { operator(channel).create_volume(request).await }
            })
            .await?;
        let missing = || self.garbled(Malformed::Missing("id of a volume"));
        Ok(made.volume.ok_or_else(missing)?.into())
    }

    /// Removes a volume that no task uses, with all that is in it; its disk stays reserved for its role. A call that has to be made
    /// again is carried out once.
    ///
    /// # Errors
    /// When there is no such volume, a task uses it, its agent is not connected, or the master cannot be reached.
    pub async fn destroy_volume(&self, volume: VolumeId) -> Result<(), CallError> {
        let request = v1::DestroyVolumeRequest { volume: Some(volume.into()), request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).destroy_volume(request).await }
        })
        .await?;
        Ok(())
    }

    /// Has any number of tasks read a volume at once, and none write it; or one task at a time use it again.
    ///
    /// # Errors
    /// When there is no such volume, a task uses it, its agent is not connected, or the master cannot be reached.
    pub async fn share_volume(&self, volume: VolumeId, shared: bool) -> Result<(), CallError> {
        let share = v1::ShareVolume { volume: Some(volume.into()), shared };
        let request = v1::ShareVolumeRequest { share: Some(share), request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).share_volume(request).await }
        })
        .await?;
        Ok(())
    }

    /// Every volume that whoever asks may use or see, by agent.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn volumes(&self) -> Result<Vec<VolumeView>, CallError> {
        let list = |channel| async move { operator(channel).list_volumes(v1::ListVolumesRequest {}).await };
        self.list(list, |piece: v1::ListVolumesResponse| piece.volumes).await
    }
}
