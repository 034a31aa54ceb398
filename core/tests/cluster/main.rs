//! The master's machine, as its peers see it.

mod kit;

mod accept;
mod access;
mod agents;
mod allocation;
mod bargaining;
mod cost;
mod failover;
mod frameworks;
mod group_operations;
mod groups;
mod kill;
mod life;
mod modules;
mod offers;
mod properties;
mod queues;
mod queues_ended;
mod queues_together;
mod queues_watched;
mod reconcile;
mod registration;
mod reservations;
mod revocable;
mod several_roles;
mod tally;
mod updates;
mod upkeep;
mod volumes;
