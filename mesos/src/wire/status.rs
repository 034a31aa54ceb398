//! What is said of tasks.

use super::common::{AgentId, ExecutorId, Labels, Resource, TaskId, TimeInfo};

words! {
    /// Where a task stands.
    TaskState {
        Starting "TASK_STARTING" = 0,
        Staging "TASK_STAGING" = 6,
        Running "TASK_RUNNING" = 1,
        Killing "TASK_KILLING" = 8,
        Finished "TASK_FINISHED" = 2,
        Failed "TASK_FAILED" = 3,
        Killed "TASK_KILLED" = 4,
        Error "TASK_ERROR" = 7,
        Lost "TASK_LOST" = 5,
        Dropped "TASK_DROPPED" = 9,
        Unreachable "TASK_UNREACHABLE" = 10,
        Gone "TASK_GONE" = 11,
        GoneByOperator "TASK_GONE_BY_OPERATOR" = 12,
        Unknown "TASK_UNKNOWN" = 13,
    }
}

words! {
    /// Who says so.
    Source {
        Master "SOURCE_MASTER" = 0,
        Agent "SOURCE_AGENT" = 1,
        Executor "SOURCE_EXECUTOR" = 2,
    }
}

words! {
    /// Why: those of Mesos's reasons that happen here.
    Reason {
        CommandExecutorFailed "REASON_COMMAND_EXECUTOR_FAILED" = 0,
        ExecutorTerminated "REASON_EXECUTOR_TERMINATED" = 1,
        FrameworkRemoved "REASON_FRAMEWORK_REMOVED" = 3,
        InvalidOffers "REASON_INVALID_OFFERS" = 6,
        ContainerLimitationMemory "REASON_CONTAINER_LIMITATION_MEMORY" = 8,
        Reconciliation "REASON_RECONCILIATION" = 9,
        AgentDisconnected "REASON_AGENT_DISCONNECTED" = 10,
        AgentRemoved "REASON_AGENT_REMOVED" = 11,
        AgentRestarted "REASON_AGENT_RESTARTED" = 12,
        TaskInvalid "REASON_TASK_INVALID" = 14,
        ContainerPreempted "REASON_CONTAINER_PREEMPTED" = 17,
        ResourcesUnknown "REASON_RESOURCES_UNKNOWN" = 18,
        ContainerLimitation "REASON_CONTAINER_LIMITATION" = 19,
        ContainerLimitationDisk "REASON_CONTAINER_LIMITATION_DISK" = 20,
        ContainerLaunchFailed "REASON_CONTAINER_LAUNCH_FAILED" = 21,
        TaskGroupInvalid "REASON_TASK_GROUP_INVALID" = 25,
        TaskKilledDuringLaunch "REASON_TASK_KILLED_DURING_LAUNCH" = 30,
        AgentReregistered "REASON_AGENT_REREGISTERED" = 32,
        MaxCompletionTimeReached "REASON_MAX_COMPLETION_TIME_REACHED" = 33,
        AgentDraining "REASON_AGENT_DRAINING" = 34,
    }
}

message! {
    /// A limit that a task reached.
    TaskResourceLimitation { resources: repeated Resource = 1; }
}

message! {
    /// An address of a task.
    IpAddress { ip_address: optional string = 2; }
}

message! {
    /// A network that a task is on.
    NetworkInfo { ip_addresses: repeated IpAddress = 5; }
}

message! {
    /// A task's container.
    ContainerStatus { network_infos: repeated NetworkInfo = 1; }
}

message! {
    /// News of a task.
    TaskStatus {
        task_id: TaskId = 1;
        state: enum "TaskState" = 2;
        message: optional string = 4;
        source: optional enum "Source" = 9;
        reason: optional enum "Reason" = 10;
        data: optional bytes = 3;
        agent_id: optional AgentId = 5;
        executor_id: optional ExecutorId = 7;
        timestamp: optional double = 6;
        uuid: optional bytes = 11;
        healthy: optional bool = 8;
        labels: optional Labels = 12;
        container_status: optional ContainerStatus = 13;
        unreachable_time: optional TimeInfo = 14;
        limitation: optional TaskResourceLimitation = 16;
    }
}
