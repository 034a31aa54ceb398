//! What operators see of the cluster.

use haggle_core::cluster::{AgentView, FrameworkInfo, FrameworkView, RoleView, TaskView};
use haggle_core::{AgentInfo, Resources, TaskState, TaskStatus};
use serde_json::{Value, json};

use super::{Copes, resources, role_out, status};
use crate::ids::Ids;
use crate::wire::common::{self, Attribute, Capability, FrameworkCapability, Text, ValueType};
use crate::wire::master::{Agent, Framework, GetAgents, GetFrameworks, GetRoles, GetTasks, Role};
use crate::wire::task::Task;

/// Operators cope with everything.
const ALL: Copes = Copes { partition_aware: true, killing: true };

/// The level of the API that is spoken, which is not our version.
pub const VERSION: &str = "1.11.0";

/// Who calls things by their names here.
#[derive(Clone, Copy, Debug)]
pub struct Seen(pub Ids);

impl Seen {
    /// An agent.
    pub fn agent(&self, view: &AgentView) -> Agent {
        let is_active = view.connected && !view.draining && view.withdrawal.is_none();
        let total = resources::write(&view.info.resources, &reserved(view), None);
        Agent {
            agent_info: self.agent_info(view, &view.info),
            active: is_active,
            deactivated: Some(view.withdrawal.is_some()),
            version: VERSION.to_owned(),
            pid: None,
            registered_time: None,
            total_resources: total,
            allocated_resources: resources::write(&view.used, &[], None),
            offered_resources: resources::write(&view.offered, &[], None),
        }
    }

    /// Agents.
    pub fn agents(&self, views: &[AgentView]) -> GetAgents {
        GetAgents { agents: views.iter().map(|view| self.agent(view)).collect(), recovered_agents: Vec::new() }
    }

    fn agent_info(&self, view: &AgentView, info: &AgentInfo) -> common::AgentInfo {
        let attribute = |(name, value): (&String, &String)| Attribute {
            name: name.clone(),
            r#type: ValueType::Text.into(),
            text: Some(Text { value: value.clone() }),
            ..Attribute::default()
        };
        common::AgentInfo {
            hostname: info.name.clone(),
            port: None,
            resources: resources::write(&info.resources, &reserved(view), None),
            attributes: info.attributes.iter().map(attribute).collect(),
            id: Some(self.0.agent(view.id).into()),
        }
    }

    /// A framework.
    pub fn framework(&self, view: &FrameworkView) -> Framework {
        Framework {
            framework_info: self.framework_info(view),
            active: view.connected && !view.suppressed,
            connected: view.connected,
            recovered: false,
            registered_time: None,
            offers: Vec::new(),
            allocated_resources: resources::write(&view.used, &[], None),
            offered_resources: resources::write(&view.offered, &[], None),
        }
    }

    /// Frameworks.
    pub fn frameworks(&self, views: &[FrameworkView]) -> GetFrameworks {
        GetFrameworks { frameworks: views.iter().map(|view| self.framework(view)).collect() }
    }

    /// A framework's own words.
    pub fn framework_info(&self, view: &FrameworkView) -> common::FrameworkInfo {
        let FrameworkInfo { name, roles, failover_timeout } = &view.info;
        common::FrameworkInfo {
            name: name.clone(),
            id: Some(self.0.framework(view.id).into()),
            failover_timeout: Some(failover_timeout.as_secs_f64()),
            roles: roles.iter().map(|role| role_out(role)).collect(),
            capabilities: vec![Capability { r#type: Some(FrameworkCapability::MultiRole.into()) }],
            ..common::FrameworkInfo::default()
        }
    }

    /// A task.
    pub fn task(&self, view: &TaskView, seconds: f64) -> Task {
        let name = status::label_of(view.id, Some(&view.name));
        let told = self.status(&view.status, name.clone(), seconds);
        Task {
            name: if view.name.is_empty() { name.clone() } else { view.name.clone() },
            framework_id: self.0.framework(view.id.framework).into(),
            executor_id: Some(name.clone().into()),
            task_id: name.into(),
            agent_id: self.0.agent(view.agent).into(),
            state: told.state,
            resources: resources::write(&view.resources, &[], Some(&view.role)),
            status_update_state: Some(told.state),
            statuses: vec![told],
            labels: None,
        }
    }

    /// Tasks: those that go on, those whose agents are silent, and the last that ended.
    pub fn tasks(&self, views: &[TaskView], seconds: f64) -> GetTasks {
        let mut tasks = GetTasks::default();
        for view in views.iter().filter(|view| !view.is_allocation) {
            let place = match view.status.state {
                TaskState::Unreachable => &mut tasks.unreachable_tasks,
                state if state.is_terminal() => &mut tasks.completed_tasks,
                _ => &mut tasks.tasks,
            };
            place.push(self.task(view, seconds));
        }
        tasks
    }

    /// What is said of a task that is called so.
    pub fn status(&self, status: &TaskStatus, name: String, seconds: f64) -> crate::wire::status::TaskStatus {
        status::seen(self.0, ALL, status, name, seconds)
    }

    /// Roles, with the frameworks in them.
    pub fn roles(&self, views: &[RoleView], frameworks: &[FrameworkView]) -> GetRoles {
        let role = |view: &RoleView| {
            let its = frameworks.iter().filter(|framework| framework.info.roles.contains(&view.name));
            let mut allocated = view.used.clone();
            allocated.give(&view.offered);
            Role {
                name: role_out(&view.name),
                weight: view.weight.into(),
                frameworks: its.map(|framework| self.0.framework(framework.id).into()).collect(),
                resources: resources::write(&allocated, &[], None),
            }
        };
        GetRoles { roles: views.iter().map(role).collect() }
    }

    /// An agent as the old endpoints show it.
    pub fn old_agent(&self, view: &AgentView) -> Value {
        json!({
            "id": self.0.agent(view.id),
            "hostname": view.info.name,
            "pid": format!("slave(1)@{}", view.info.name),
            "active": view.connected && !view.draining && view.withdrawal.is_none(),
            "deactivated": view.withdrawal.is_some(),
            "version": VERSION,
            "attributes": view.info.attributes,
            "resources": resources::plain(&view.info.resources),
            "used_resources": resources::plain(&view.used),
            "offered_resources": resources::plain(&view.offered),
            "reserved_resources": {},
            "unreserved_resources": resources::plain(&view.info.resources),
        })
    }

    /// A framework as they show it, with its tasks.
    pub fn old_framework(&self, view: &FrameworkView, tasks: &[TaskView]) -> Value {
        let of = |wanted: fn(TaskState) -> bool| -> Vec<Value> {
            let its = tasks.iter().filter(|task| task.id.framework == view.id && !task.is_allocation);
            its.filter(|task| wanted(task.status.state)).map(|task| self.old_task(task)).collect()
        };
        let mut allocated = view.used.clone();
        allocated.give(&view.offered);
        json!({
            "id": self.0.framework(view.id),
            "name": view.info.name,
            "active": view.connected && !view.suppressed,
            "connected": view.connected,
            "recovered": false,
            "failover_timeout": view.info.failover_timeout.as_secs_f64(),
            "roles": view.info.roles.iter().map(|role| role_out(role)).collect::<Vec<_>>(),
            "role": view.info.roles.first().map(|role| role_out(role)),
            "capabilities": ["MULTI_ROLE"],
            "hostname": "", "webui_url": "", "user": "", "checkpoint": true,
            "resources": resources::plain(&allocated),
            "used_resources": resources::plain(&view.used),
            "offered_resources": resources::plain(&view.offered),
            "tasks": of(|state| !state.is_terminal() && state != TaskState::Unreachable),
            "unreachable_tasks": of(|state| state == TaskState::Unreachable),
            "completed_tasks": of(TaskState::is_terminal),
            "offers": [], "executors": [],
        })
    }

    /// A task as they show it.
    pub fn old_task(&self, view: &TaskView) -> Value {
        let name = status::label_of(view.id, Some(&view.name));
        json!({
            "id": name, "executor_id": "",
            "name": if view.name.is_empty() { &name } else { &view.name },
            "framework_id": self.0.framework(view.id.framework),
            "slave_id": self.0.agent(view.agent),
            "state": status::state(view.status.state, ALL).word(),
            "role": role_out(&view.role),
            "resources": resources::plain(&view.resources),
            "statuses": [{"state": status::state(view.status.state, ALL).word()}],
        })
    }

    /// A role as they show it.
    pub fn old_role(&self, view: &RoleView, frameworks: &[FrameworkView]) -> Value {
        let its = frameworks.iter().filter(|framework| framework.info.roles.contains(&view.name));
        json!({
            "name": role_out(&view.name),
            "weight": f64::from(view.weight),
            "frameworks": its.map(|framework| self.0.framework(framework.id)).collect::<Vec<_>>(),
            "resources": plain_sum(&view.used, &view.offered),
        })
    }
}

fn plain_sum(one: &Resources, other: &Resources) -> Value {
    let mut sum = one.clone();
    sum.give(other);
    json!(resources::plain(&sum))
}

fn reserved(view: &AgentView) -> Vec<haggle_core::Reserved> {
    view.reserved.iter().map(|part| part.reserved.clone()).collect()
}
