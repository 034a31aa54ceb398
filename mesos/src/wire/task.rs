//! Tasks as frameworks describe them.

use super::common::{AgentId, DurationInfo, ExecutorId, FrameworkId, Labels, Resource, Scalar, TaskId};
use super::status::{TaskState, TaskStatus};

message! {
    /// A file that a task wants.
    Uri {
        value: string = 1;
        executable: optional bool = 2;
        extract: optional bool = 3;
        cache: optional bool = 4;
        output_file: optional string = 5;
    }
}

words! {
    /// Of which kind a variable is.
    VariableType {
        Unknown "UNKNOWN" = 0,
        Value "VALUE" = 1,
        Secret "SECRET" = 2,
    }
}

message! {
    /// A variable of the environment.
    Variable {
        name: string = 1;
        r#type: optional enum "VariableType" = 3;
        value: optional string = 2;
    }
}

message! {
    /// The environment.
    Environment { variables: repeated Variable = 1; }
}

message! {
    /// What a task runs.
    CommandInfo {
        uris: repeated Uri = 1;
        environment: optional Environment = 2;
        shell: optional bool = 6;
        value: optional string = 3;
        arguments: repeated string = 7;
        user: optional string = 5;
    }
}

words! {
    /// Of which kind an executor is.
    ExecutorType {
        Unknown "UNKNOWN" = 0,
        Default "DEFAULT" = 1,
        Custom "CUSTOM" = 2,
    }
}

message! {
    /// An executor.
    ExecutorInfo {
        r#type: optional enum "ExecutorType" = 15;
        executor_id: ExecutorId = 1;
        framework_id: optional FrameworkId = 8;
        command: optional CommandInfo = 7;
        name: optional string = 9;
    }
}

message! {
    /// An image in a registry of containers.
    DockerImage { name: string = 1; }
}

message! {
    /// An image.
    Image { docker: optional DockerImage = 3; }
}

message! {
    /// A container of Docker's.
    DockerInfo { image: string = 1; }
}

message! {
    /// A container of Mesos's.
    MesosInfo { image: optional Image = 1; }
}

words! {
    /// Of which kind a container is.
    ContainerType {
        Docker "DOCKER" = 1,
        Mesos "MESOS" = 2,
    }
}

message! {
    /// A folder in a container.
    Volume { container_path: string = 1; }
}

message! {
    /// A container.
    ContainerInfo {
        r#type: enum "ContainerType" = 1;
        volumes: repeated Volume = 2;
        docker: optional DockerInfo = 3;
        mesos: optional MesosInfo = 5;
    }
}

message! {
    /// How a task is asked whether it is well: known to be there, and no more.
    Check {}
}

message! {
    /// How a task is ended.
    KillPolicy { grace_period: optional DurationInfo = 1; }
}

message! {
    /// A task.
    TaskInfo {
        name: string = 1;
        task_id: TaskId = 2;
        agent_id: AgentId = 3;
        resources: repeated Resource = 4;
        executor: optional ExecutorInfo = 5;
        command: optional CommandInfo = 7;
        container: optional ContainerInfo = 9;
        health_check: optional Check = 8;
        check: optional Check = 13;
        kill_policy: optional KillPolicy = 12;
        data: optional bytes = 6;
        labels: optional Labels = 10;
        max_completion_time: optional DurationInfo = 14;
        limits: map Scalar = 15;
    }
}

message! {
    /// A task as operators see it.
    Task {
        name: string = 1;
        task_id: TaskId = 2;
        framework_id: FrameworkId = 3;
        executor_id: optional ExecutorId = 4;
        agent_id: AgentId = 5;
        state: enum "TaskState" = 6;
        resources: repeated Resource = 7;
        statuses: repeated TaskStatus = 8;
        status_update_state: optional enum "TaskState" = 9;
        labels: optional Labels = 11;
    }
}
