//! What schedulers say and hear: `include/mesos/v1/scheduler/scheduler.proto`.

use super::common::{AgentId, ExecutorId, FrameworkId, FrameworkInfo, MasterInfo, OfferId, TaskId};
use super::offer::{Filters, InverseOffer, Offer, Operation};
use super::status::TaskStatus;

words! {
    /// What a call wants.
    CallType {
        Unknown "UNKNOWN" = 0,
        Subscribe "SUBSCRIBE" = 1,
        Teardown "TEARDOWN" = 2,
        Accept "ACCEPT" = 3,
        Decline "DECLINE" = 4,
        AcceptInverseOffers "ACCEPT_INVERSE_OFFERS" = 13,
        DeclineInverseOffers "DECLINE_INVERSE_OFFERS" = 14,
        Revive "REVIVE" = 5,
        Kill "KILL" = 6,
        Shutdown "SHUTDOWN" = 7,
        Acknowledge "ACKNOWLEDGE" = 8,
        AcknowledgeOperationStatus "ACKNOWLEDGE_OPERATION_STATUS" = 15,
        Reconcile "RECONCILE" = 9,
        ReconcileOperations "RECONCILE_OPERATIONS" = 16,
        Message "MESSAGE" = 10,
        Request "REQUEST" = 11,
        Suppress "SUPPRESS" = 12,
        UpdateFramework "UPDATE_FRAMEWORK" = 17,
    }
}

message! {
    /// Begins a session. Also what a framework says of itself later.
    Subscribe {
        framework_info: optional FrameworkInfo = 1;
        suppressed_roles: repeated string = 2;
    }
}

message! {
    /// Takes something of offers.
    Accept {
        offer_ids: repeated OfferId = 1;
        operations: repeated Operation = 2;
        filters: optional Filters = 3;
    }
}

message! {
    /// Takes nothing of offers.
    Decline {
        offer_ids: repeated OfferId = 1;
        filters: optional Filters = 2;
    }
}

message! {
    /// Answers inverse offers.
    InverseOffers {
        inverse_offer_ids: repeated OfferId = 1;
        filters: optional Filters = 2;
    }
}

message! {
    /// Some of a framework's roles; none: all.
    Roles { roles: repeated string = 1; }
}

message! {
    /// Ends a task.
    Kill {
        task_id: TaskId = 1;
        agent_id: optional AgentId = 2;
    }
}

message! {
    /// Ends an executor.
    Shutdown {
        executor_id: ExecutorId = 1;
        agent_id: AgentId = 2;
    }
}

message! {
    /// Has taken note of an update.
    Acknowledge {
        agent_id: AgentId = 1;
        task_id: TaskId = 2;
        uuid: bytes = 3;
    }
}

message! {
    /// A task that is asked for.
    ReconcileTask {
        task_id: TaskId = 1;
        agent_id: optional AgentId = 2;
    }
}

message! {
    /// Asks where tasks stand.
    Reconcile { tasks: repeated ReconcileTask = 1; }
}

message! {
    /// What a scheduler says.
    Call {
        framework_id: optional FrameworkId = 1;
        r#type: enum "CallType" = 2;
        subscribe: optional Subscribe = 3;
        accept: optional Accept = 4;
        decline: optional Decline = 5;
        accept_inverse_offers: optional InverseOffers = 13;
        decline_inverse_offers: optional InverseOffers = 14;
        revive: optional Roles = 15;
        kill: optional Kill = 6;
        shutdown: optional Shutdown = 7;
        acknowledge: optional Acknowledge = 8;
        reconcile: optional Reconcile = 9;
        suppress: optional Roles = 16;
        update_framework: optional Subscribe = 19;
    }
}

words! {
    /// What an event tells.
    EventType {
        Unknown "UNKNOWN" = 0,
        Subscribed "SUBSCRIBED" = 1,
        Offers "OFFERS" = 2,
        InverseOffers "INVERSE_OFFERS" = 9,
        Rescind "RESCIND" = 3,
        RescindInverseOffer "RESCIND_INVERSE_OFFER" = 10,
        Update "UPDATE" = 4,
        Message "MESSAGE" = 5,
        Failure "FAILURE" = 6,
        Error "ERROR" = 7,
        Heartbeat "HEARTBEAT" = 8,
    }
}

message! {
    /// A session has begun.
    Subscribed {
        framework_id: FrameworkId = 1;
        heartbeat_interval_seconds: optional double = 2;
        master_info: optional MasterInfo = 3;
    }
}

message! {
    /// Offers.
    OffersEvent { offers: repeated Offer = 1; }
}

message! {
    /// Inverse offers.
    InverseOffersEvent { inverse_offers: repeated InverseOffer = 1; }
}

message! {
    /// An offer is gone.
    Rescind { offer_id: OfferId = 1; }
}

message! {
    /// An inverse offer needs no answer any more.
    RescindInverseOffer { inverse_offer_id: OfferId = 1; }
}

message! {
    /// News of a task.
    Update { status: TaskStatus = 1; }
}

message! {
    /// An agent is gone.
    Failure {
        agent_id: optional AgentId = 1;
        executor_id: optional ExecutorId = 2;
        status: optional int32 = 3;
    }
}

message! {
    /// The last word.
    Error { message: string = 1; }
}

message! {
    /// What a scheduler hears.
    Event {
        r#type: enum "EventType" = 1;
        subscribed: optional Subscribed = 2;
        offers: optional OffersEvent = 3;
        inverse_offers: optional InverseOffersEvent = 9;
        rescind: optional Rescind = 4;
        rescind_inverse_offer: optional RescindInverseOffer = 10;
        update: optional Update = 5;
        failure: optional Failure = 7;
        error: optional Error = 8;
    }
}

impl Event {
    /// With nothing in it yet.
    pub fn of(kind: EventType) -> Self {
        Self { r#type: kind.into(), ..Self::default() }
    }

    /// Nothing but that the stream lives.
    pub fn heartbeat() -> Self {
        Self::of(EventType::Heartbeat)
    }

    /// The last word.
    pub fn error(message: impl Into<String>) -> Self {
        Self { error: Some(Error { message: message.into() }), ..Self::of(EventType::Error) }
    }
}
