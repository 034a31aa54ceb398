//! What all others are made of: `include/mesos/v1/mesos.proto`.

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident)*) => {
        $(message! { $(#[$meta])* $name { value: string = 1; } }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self { value }
            }
        })*
    };
}

ids! {
    /// A framework's name.
    FrameworkId
    /// An agent's name.
    AgentId
    /// An offer's name.
    OfferId
    /// A task's name.
    TaskId
    /// An executor's name.
    ExecutorId
    /// The name of an operation on an offer.
    OperationId
}

message! {
    /// A moment, since 1970.
    TimeInfo { nanoseconds: int64 = 1; }
}

message! {
    /// A length of time.
    DurationInfo { nanoseconds: int64 = 1; }
}

message! {
    /// When an agent is not there.
    Unavailability {
        start: TimeInfo = 1;
        duration: optional DurationInfo = 2;
    }
}

message! {
    /// Where something listens.
    Address {
        hostname: optional string = 1;
        ip: optional string = 2;
        port: int32 = 3;
    }
}

message! {
    /// A place on the web.
    Url {
        scheme: string = 1;
        address: Address = 2;
        path: optional string = 3;
    }
}

message! {
    /// A key and its value.
    Label {
        key: string = 1;
        value: optional string = 2;
    }
}

message! {
    /// Some of them.
    Labels { labels: repeated Label = 1; }
}

message! {
    /// A number.
    Scalar { value: double = 1; }
}

message! {
    /// From one number to another, both included.
    Range {
        begin: uint64 = 1;
        end: uint64 = 2;
    }
}

message! {
    /// Some of them.
    Ranges { range: repeated Range = 1; }
}

message! {
    /// Some texts.
    Set { item: repeated string = 1; }
}

message! {
    /// A text.
    Text { value: string = 1; }
}

words! {
    /// Of which kind a value is.
    ValueType {
        Scalar "SCALAR" = 0,
        Ranges "RANGES" = 1,
        Set "SET" = 2,
        Text "TEXT" = 3,
    }
}

message! {
    /// What an agent says of itself.
    Attribute {
        name: string = 1;
        r#type: enum "ValueType" = 2;
        scalar: optional Scalar = 3;
        ranges: optional Ranges = 4;
        set: optional Set = 6;
        text: optional Text = 5;
    }
}

message! {
    /// For which role something is offered.
    AllocationInfo { role: optional string = 1; }
}

words! {
    /// Who reserved something.
    ReservationType {
        Unknown "UNKNOWN" = 0,
        Static "STATIC" = 1,
        Dynamic "DYNAMIC" = 2,
    }
}

message! {
    /// For whom something is reserved.
    ReservationInfo {
        r#type: optional enum "ReservationType" = 4;
        role: optional string = 3;
        principal: optional string = 1;
        labels: optional Labels = 2;
    }
}

message! {
    /// Marks what may be taken back.
    RevocableInfo {}
}

message! {
    /// An amount of something.
    Resource {
        name: string = 1;
        r#type: enum "ValueType" = 2;
        scalar: optional Scalar = 3;
        ranges: optional Ranges = 4;
        set: optional Set = 5;
        role: optional string = 6;
        reservation: optional ReservationInfo = 8;
        revocable: optional RevocableInfo = 9;
        allocation_info: optional AllocationInfo = 11;
        reservations: repeated ReservationInfo = 13;
    }
}

words! {
    /// What a framework can cope with.
    FrameworkCapability {
        Unknown "UNKNOWN" = 0,
        RevocableResources "REVOCABLE_RESOURCES" = 1,
        TaskKillingState "TASK_KILLING_STATE" = 2,
        GpuResources "GPU_RESOURCES" = 3,
        SharedResources "SHARED_RESOURCES" = 4,
        PartitionAware "PARTITION_AWARE" = 5,
        MultiRole "MULTI_ROLE" = 6,
        ReservationRefinement "RESERVATION_REFINEMENT" = 7,
        RegionAware "REGION_AWARE" = 8,
    }
}

message! {
    /// One such word.
    Capability { r#type: optional enum "FrameworkCapability" = 1; }
}

message! {
    /// A framework as it introduces itself.
    FrameworkInfo {
        user: string = 1;
        name: string = 2;
        id: optional FrameworkId = 3;
        failover_timeout: optional double = 4;
        checkpoint: optional bool = 5;
        role: optional string = 6;
        roles: repeated string = 12;
        hostname: optional string = 7;
        principal: optional string = 8;
        webui_url: optional string = 9;
        capabilities: repeated Capability = 10;
        labels: optional Labels = 11;
    }
}

message! {
    /// A master.
    MasterInfo {
        id: string = 1;
        ip: uint32 = 2;
        port: uint32 = 3;
        pid: optional string = 4;
        hostname: optional string = 5;
        version: optional string = 6;
        address: optional Address = 7;
    }
}

message! {
    /// An agent.
    AgentInfo {
        hostname: string = 1;
        port: optional int32 = 8;
        resources: repeated Resource = 3;
        attributes: repeated Attribute = 5;
        id: optional AgentId = 6;
    }
}
