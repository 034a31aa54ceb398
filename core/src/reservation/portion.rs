//! Amounts of which each part knows for whom it is reserved.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Reservation, Reserved};
use crate::id::VolumeId;
use crate::planted::{self, Bug};
use crate::resources::{Resources, Shortage};

/// Resources of one agent, what of them is reserved, and volumes there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// All of them, reserved or not.
    pub resources: Resources,
    /// What of them is reserved, none of it empty: the roles that are deepest in the tree come first, as what is theirs is of
    /// least use to others.
    pub reserved: Vec<Reserved>,
    /// Volumes, by id. Their room is not among the resources: it is their own whoever has them.
    pub volumes: Vec<VolumeId>,
}

impl From<Resources> for Portion {
    /// Nothing of it is reserved.
    fn from(resources: Resources) -> Self {
        Self { resources, ..Self::default() }
    }
}

impl Portion {
    /// An amount of one reservation, or of none.
    pub fn of_one(reservation: Option<Reservation>, resources: Resources) -> Self {
        let part = reservation.map(|reservation| Reserved { reservation, resources: resources.clone() });
        let reserved = part.into_iter().filter(|part| !part.resources.is_empty()).collect();
        Self { resources, reserved, ..Self::default() }
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.volumes.is_empty()
    }

    /// What of it is of this reservation, or of none.
    pub fn of(&self, reservation: Option<&Reservation>) -> Cow<'_, Resources> {
        match reservation {
            None => self.unreserved(),
            Some(one) => self
                .reserved
                .iter()
                .find(|part| part.reservation == *one)
                .map_or_else(|| Cow::Owned(Resources::default()), |part| Cow::Borrowed(&part.resources)),
        }
    }

    /// What of it is reserved for nobody.
    pub fn unreserved(&self) -> Cow<'_, Resources> {
        if self.reserved.is_empty() {
            return Cow::Borrowed(&self.resources);
        }
        let mut rest = self.resources.clone();
        self.reserved.iter().for_each(|part| rest.take_up_to(&part.resources));
        Cow::Owned(rest)
    }

    /// The part of its resources that whoever is in a role may use, and all its volumes.
    pub fn usable(&self, role: &str) -> Cow<'_, Self> {
        if self.reserved.iter().all(|part| part.reservation.is_for(role)) || planted::is(Bug::ReservedForAll) {
            return Cow::Borrowed(self);
        }
        let (own, others): (Vec<_>, Vec<_>) = self.reserved.iter().partition(|part| part.reservation.is_for(role));
        let mut resources = self.resources.clone();
        others.iter().for_each(|part| resources.take_up_to(&part.resources));
        let (reserved, volumes) = (own.into_iter().cloned().collect(), self.volumes.clone());
        Cow::Owned(Self { resources, reserved, volumes })
    }

    /// Whether all of these volumes are in it.
    pub fn has_volumes(&self, volumes: &[VolumeId]) -> bool {
        volumes.iter().all(|volume| self.volumes.contains(volume))
    }

    /// The reservations in it whose innermost role is this one.
    pub fn reservations_for(&self, role: &str) -> Vec<Option<Reservation>> {
        let its = self.reserved.iter().filter(|part| part.reservation.role() == role);
        its.map(|part| Some(part.reservation.clone())).collect()
    }

    /// Adds another one.
    pub fn give(&mut self, more: &Self) {
        self.resources.give(&more.resources);
        for volume in &more.volumes {
            if let Err(at) = self.volumes.binary_search(volume) {
                self.volumes.insert(at, *volume);
            }
        }
        for part in &more.reserved {
            match self.reserved.iter_mut().find(|own| own.reservation == part.reservation) {
                Some(own) => own.resources.give(&part.resources),
                None => {
                    let depth = |part: &Reserved| {
                        (Reverse(part.reservation.role().matches('/').count()), part.reservation.clone())
                    };
                    let at = self.reserved.partition_point(|own| depth(own) < depth(part));
                    self.reserved.insert(at, part.clone());
                }
            }
        }
    }

    /// Takes away as much of another one as there is, part by part.
    pub fn take_up_to(&mut self, less: &Self) {
        self.resources.take_up_to(&less.resources);
        if !less.volumes.is_empty() {
            self.volumes.retain(|volume| !less.volumes.contains(volume));
        }
        for part in &less.reserved {
            if let Some(own) = self.reserved.iter_mut().find(|own| own.reservation == part.reservation) {
                own.resources.take_up_to(&part.resources);
            }
        }
        if !less.reserved.is_empty() {
            self.reserved.retain(|part| !part.resources.is_empty());
        }
    }

    /// Takes out so much, all of it or nothing: first of what is reserved, the deepest role first.
    ///
    /// # Errors
    /// As [`Resources::fits`]; then nothing was taken.
    pub fn take(&mut self, wanted: &Resources) -> Result<Self, Shortage> {
        self.resources.fits(wanted)?;
        let (mut taken, mut rest) = (Self::from(wanted.clone()), wanted.clone());
        for part in &self.reserved {
            let mut own = part.resources.clone();
            own.cut_to(&rest);
            rest.take_up_to(&own);
            if !own.is_empty() {
                taken.reserved.push(Reserved { reservation: part.reservation.clone(), resources: own });
            }
        }
        self.take_up_to(&taken);
        Ok(taken)
    }
}
