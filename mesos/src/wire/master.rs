//! What operators ask, hear and are told: `include/mesos/v1/master/master.proto`.

use super::common::{AgentId, AgentInfo, FrameworkId, FrameworkInfo, MasterInfo, Resource, TimeInfo};
use super::offer::Offer;
use super::status::{TaskState, TaskStatus};
use super::task::{ExecutorInfo, Task};

words! {
    /// What a call wants: those that are served.
    CallType {
        Unknown "UNKNOWN" = 0,
        GetHealth "GET_HEALTH" = 1,
        GetFlags "GET_FLAGS" = 2,
        GetVersion "GET_VERSION" = 3,
        GetMetrics "GET_METRICS" = 4,
        GetState "GET_STATE" = 9,
        GetAgents "GET_AGENTS" = 10,
        GetFrameworks "GET_FRAMEWORKS" = 11,
        GetExecutors "GET_EXECUTORS" = 12,
        GetTasks "GET_TASKS" = 13,
        GetRoles "GET_ROLES" = 14,
        GetMaster "GET_MASTER" = 17,
        Subscribe "SUBSCRIBE" = 18,
    }
}

message! {
    /// What an operator asks.
    Call { r#type: enum "CallType" = 1; }
}

message! {
    /// Whether the master is well.
    GetHealth { healthy: bool = 1; }
}

message! {
    /// A flag of the master's.
    Flag {
        name: string = 1;
        value: optional string = 2;
    }
}

message! {
    /// Its flags.
    GetFlags { flags: repeated Flag = 1; }
}

message! {
    /// What is spoken.
    VersionInfo {
        version: string = 1;
        build_date: optional string = 2;
        build_time: optional double = 3;
        build_user: optional string = 4;
    }
}

message! {
    /// What is spoken.
    GetVersion { version_info: VersionInfo = 1; }
}

message! {
    /// A number by its name.
    Metric {
        name: string = 1;
        value: optional double = 2;
    }
}

message! {
    /// Numbers.
    GetMetrics { metrics: repeated Metric = 1; }
}

message! {
    /// An agent.
    Agent {
        agent_info: AgentInfo = 1;
        active: bool = 2;
        deactivated: optional bool = 12;
        version: string = 3;
        pid: optional string = 4;
        registered_time: optional TimeInfo = 5;
        total_resources: repeated Resource = 7;
        allocated_resources: repeated Resource = 8;
        offered_resources: repeated Resource = 9;
    }
}

message! {
    /// Agents.
    GetAgents {
        agents: repeated Agent = 1;
        recovered_agents: repeated AgentInfo = 2;
    }
}

message! {
    /// A framework.
    Framework {
        framework_info: FrameworkInfo = 1;
        active: bool = 2;
        connected: bool = 3;
        recovered: bool = 11;
        registered_time: optional TimeInfo = 4;
        offers: repeated Offer = 7;
        allocated_resources: repeated Resource = 9;
        offered_resources: repeated Resource = 10;
    }
}

message! {
    /// Frameworks.
    GetFrameworks { frameworks: repeated Framework = 1; }
}

message! {
    /// An executor.
    Executor {
        executor_info: ExecutorInfo = 1;
        agent_id: AgentId = 2;
    }
}

message! {
    /// Executors: of the kind that Mesos means, there are none.
    GetExecutors { executors: repeated Executor = 1; }
}

message! {
    /// Tasks.
    GetTasks {
        tasks: repeated Task = 2;
        unreachable_tasks: repeated Task = 5;
        completed_tasks: repeated Task = 3;
    }
}

message! {
    /// A role.
    Role {
        name: string = 1;
        weight: double = 2;
        frameworks: repeated FrameworkId = 3;
        resources: repeated Resource = 4;
    }
}

message! {
    /// Roles.
    GetRoles { roles: repeated Role = 1; }
}

message! {
    /// The master.
    GetMaster {
        master_info: optional MasterInfo = 1;
        start_time: optional double = 2;
        elected_time: optional double = 3;
    }
}

message! {
    /// All of it.
    GetState {
        get_tasks: optional GetTasks = 1;
        get_executors: optional GetExecutors = 2;
        get_frameworks: optional GetFrameworks = 3;
        get_agents: optional GetAgents = 4;
    }
}

words! {
    /// What is answered.
    ResponseType {
        Unknown "UNKNOWN" = 0,
        GetHealth "GET_HEALTH" = 1,
        GetFlags "GET_FLAGS" = 2,
        GetVersion "GET_VERSION" = 3,
        GetMetrics "GET_METRICS" = 4,
        GetState "GET_STATE" = 8,
        GetAgents "GET_AGENTS" = 9,
        GetFrameworks "GET_FRAMEWORKS" = 10,
        GetExecutors "GET_EXECUTORS" = 11,
        GetTasks "GET_TASKS" = 12,
        GetRoles "GET_ROLES" = 13,
        GetMaster "GET_MASTER" = 15,
    }
}

message! {
    /// An answer.
    Response {
        r#type: enum "ResponseType" = 1;
        get_health: optional GetHealth = 2;
        get_flags: optional GetFlags = 3;
        get_version: optional GetVersion = 4;
        get_metrics: optional GetMetrics = 5;
        get_state: optional GetState = 9;
        get_agents: optional GetAgents = 10;
        get_frameworks: optional GetFrameworks = 11;
        get_executors: optional GetExecutors = 12;
        get_tasks: optional GetTasks = 13;
        get_roles: optional GetRoles = 14;
        get_master: optional GetMaster = 16;
    }
}

words! {
    /// What an event tells.
    EventType {
        Unknown "UNKNOWN" = 0,
        Subscribed "SUBSCRIBED" = 1,
        TaskAdded "TASK_ADDED" = 2,
        TaskUpdated "TASK_UPDATED" = 3,
        AgentAdded "AGENT_ADDED" = 4,
        AgentRemoved "AGENT_REMOVED" = 5,
        FrameworkAdded "FRAMEWORK_ADDED" = 6,
        FrameworkUpdated "FRAMEWORK_UPDATED" = 7,
        FrameworkRemoved "FRAMEWORK_REMOVED" = 8,
        Heartbeat "HEARTBEAT" = 9,
    }
}

message! {
    /// What there was at the beginning.
    Subscribed {
        get_state: optional GetState = 1;
        heartbeat_interval_seconds: optional double = 2;
    }
}

message! {
    /// A task is launched.
    TaskAdded { task: Task = 1; }
}

message! {
    /// A task is in another state.
    TaskUpdated {
        framework_id: FrameworkId = 1;
        status: TaskStatus = 2;
        state: enum "TaskState" = 3;
    }
}

message! {
    /// A framework came, came back, or is something else now.
    FrameworkNews { framework: Framework = 1; }
}

message! {
    /// A framework is gone.
    FrameworkRemoved { framework_info: FrameworkInfo = 1; }
}

message! {
    /// An agent came or came back.
    AgentAdded { agent: Agent = 1; }
}

message! {
    /// An agent is gone.
    AgentRemoved { agent_id: AgentId = 1; }
}

message! {
    /// What happened.
    Event {
        r#type: enum "EventType" = 1;
        subscribed: optional Subscribed = 2;
        task_added: optional TaskAdded = 3;
        task_updated: optional TaskUpdated = 4;
        agent_added: optional AgentAdded = 5;
        agent_removed: optional AgentRemoved = 6;
        framework_added: optional FrameworkNews = 7;
        framework_updated: optional FrameworkNews = 8;
        framework_removed: optional FrameworkRemoved = 9;
    }
}
