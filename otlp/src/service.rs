//! Who records: the resource that every span is of, by OpenTelemetry's semantic conventions.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use uuid::Uuid;

/// A part of the cluster that records spans.
#[derive(Clone, Debug)]
pub struct Service {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// `host.name`.
    pub host: String,
    /// Which agent it is, by the name that people gave it.
    pub agent: Option<String>,
}

impl Service {
    /// The same as a resource. Each start has an instance id of its own, as the conventions want it.
    pub(crate) fn resource(&self) -> Resource {
        let agent = self.agent.clone().map(|agent| KeyValue::new("haggle.agent.name", agent));
        Resource::builder_empty()
            .with_attributes(agent)
            .with_attributes([
                KeyValue::new("service.name", self.name),
                KeyValue::new("service.namespace", "haggle"),
                KeyValue::new("service.version", self.version),
                KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
                KeyValue::new("host.name", self.host.clone()),
                KeyValue::new("process.pid", i64::from(std::process::id())),
            ])
            .build()
    }
}
