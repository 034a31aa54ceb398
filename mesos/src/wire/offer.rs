//! Offers, and what is done with them.

use super::common::{
    AgentId, AllocationInfo, Attribute, ExecutorId, FrameworkId, OfferId, OperationId, Resource, Unavailability, Url,
};
use super::task::TaskInfo;

message! {
    /// What a framework may take.
    Offer {
        id: OfferId = 1;
        framework_id: FrameworkId = 2;
        agent_id: AgentId = 3;
        hostname: string = 4;
        url: optional Url = 8;
        resources: repeated Resource = 5;
        attributes: repeated Attribute = 7;
        executor_ids: repeated ExecutorId = 6;
        unavailability: optional Unavailability = 9;
        allocation_info: optional AllocationInfo = 10;
    }
}

message! {
    /// What a framework is asked to give back.
    InverseOffer {
        id: OfferId = 1;
        framework_id: FrameworkId = 3;
        agent_id: optional AgentId = 4;
        unavailability: Unavailability = 5;
        resources: repeated Resource = 6;
    }
}

words! {
    /// What is to be done with offers.
    OperationType {
        Unknown "UNKNOWN" = 0,
        Launch "LAUNCH" = 1,
        LaunchGroup "LAUNCH_GROUP" = 6,
        Reserve "RESERVE" = 2,
        Unreserve "UNRESERVE" = 3,
        Create "CREATE" = 4,
        Destroy "DESTROY" = 5,
        GrowVolume "GROW_VOLUME" = 11,
        ShrinkVolume "SHRINK_VOLUME" = 12,
        CreateDisk "CREATE_DISK" = 13,
        DestroyDisk "DESTROY_DISK" = 14,
    }
}

message! {
    /// Tasks to be launched.
    Launch { task_infos: repeated TaskInfo = 1; }
}

message! {
    /// Tasks that are launched together.
    TaskGroupInfo { tasks: repeated TaskInfo = 1; }
}

message! {
    /// The same, with the executor that is to run them.
    LaunchGroup { task_group: TaskGroupInfo = 2; }
}

message! {
    /// What is to be reserved, or not any more.
    Reserving { resources: repeated Resource = 1; }
}

message! {
    /// One thing to be done.
    Operation {
        r#type: optional enum "OperationType" = 1;
        id: optional OperationId = 12;
        launch: optional Launch = 2;
        reserve: optional Reserving = 3;
        unreserve: optional Reserving = 4;
        launch_group: optional LaunchGroup = 7;
    }
}

message! {
    /// How long the same need not be offered again.
    Filters { refuse_seconds: optional double = 1; }
}
