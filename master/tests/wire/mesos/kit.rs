//! A scheduler that reads chunks, and so sees what its library would be handed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use haggle_master::{Config, Master};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peers::{loopback, owner};

pub(super) const SCHEDULER: &str = "/api/v1/scheduler";
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

/// Longer than anything takes that is not broken.
const WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn master() -> Master {
    Master::start(Config::new(loopback())).await.unwrap()
}

pub(super) fn authorization(master: &Master) -> String {
    owner(master).0.unwrap()
}

/// An answer as far as it has come.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks on a connection of its own, with these further headers.
pub(super) async fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut reader = send(to, method, path, headers, body).await;
    let (code, headers) = head(&mut reader).await;
    let mut body = String::new();
    timeout(WITHIN, reader.read_to_string(&mut body)).await.unwrap().unwrap();
    Answer { code, headers, body }
}

pub(super) async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    BufReader::new(stream)
}

pub(super) async fn head(reader: &mut BufReader<TcpStream>) -> (u16, HashMap<String, String>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        timeout(WITHIN, reader.read_line(&mut line)).await.unwrap().unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let code = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let named = lines[1..].iter().filter_map(|line| line.split_once(": "));
    (code, named.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect())
}

/// Calls by the owner, in JSON.
pub(super) async fn call(master: &Master, path: &str, headers: &[(&str, &str)], call: &Value) -> Answer {
    let authorization = authorization(master);
    let headers: Vec<_> = [JSON, ("authorization", authorization.as_str())].iter().chain(headers).copied().collect();
    ask(master.addr(), "POST", path, &headers, call.to_string().as_bytes()).await
}

pub(super) async fn get(master: &Master, path: &str) -> Answer {
    ask(master.addr(), "GET", path, &[("authorization", &authorization(master))], b"").await
}

/// The stream of somebody who has subscribed.
pub(super) struct Stream {
    reader: BufReader<TcpStream>,
    pub(super) headers: HashMap<String, String>,
}

impl Stream {
    pub(super) async fn open(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut reader = send(to, "POST", path, headers, body).await;
        let (code, headers) = head(&mut reader).await;
        assert_eq!(code, 200, "{headers:?}");
        assert_eq!(headers.get("transfer-encoding").map(String::as_str), Some("chunked"));
        Self { reader, headers }
    }

    /// The next chunk, which is one whole record; `None` at the end.
    pub(super) async fn record(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        timeout(WITHIN, self.reader.read_line(&mut size)).await.unwrap().unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).ok().filter(|size| *size > 0)?;
        let mut chunk = vec![0; size + 2];
        timeout(WITHIN, self.reader.read_exact(&mut chunk)).await.unwrap().unwrap();
        chunk.truncate(size);
        let at = chunk.iter().position(|byte| *byte == b'\n').unwrap();
        let length: usize = std::str::from_utf8(&chunk[..at]).unwrap().parse().unwrap();
        let record = chunk.split_off(at + 1);
        assert_eq!(record.len(), length, "a chunk is a record");
        Some(record)
    }

    /// The next event in JSON.
    pub(super) async fn event(&mut self) -> Option<Value> {
        Some(serde_json::from_slice(&self.record().await?).unwrap())
    }

    /// The next event of this type.
    pub(super) async fn hears(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Whether nothing but heartbeats comes before the end.
    pub(super) async fn ends(mut self) {
        while let Some(event) = self.event().await {
            assert!(event["type"] == "HEARTBEAT" || event["type"] == "RESCIND", "{event}");
        }
    }
}

/// A scheduler that has subscribed.
pub(super) struct Scheduler<'a> {
    master: &'a Master,
    pub(super) authorization: String,
    pub(super) stream: Stream,
    pub(super) stream_id: String,
    pub(super) framework: Value,
}

impl<'a> Scheduler<'a> {
    /// As the owner, with these fields beside the usual ones.
    pub(super) async fn subscribe(master: &'a Master, fields: Value) -> Self {
        Self::subscribe_as(master, authorization(master), fields).await
    }

    pub(super) async fn subscribe_as(master: &'a Master, authorization: String, fields: Value) -> Self {
        let mut stream = Self::stream(master, &authorization, fields).await;
        let subscribed = stream.event().await.unwrap();
        assert_eq!(subscribed["type"], "SUBSCRIBED", "{subscribed}");
        let framework = subscribed["subscribed"]["framework_id"].clone();
        let stream_id = stream.headers["mesos-stream-id"].clone();
        Self { master, authorization, stream, stream_id, framework }
    }

    /// The stream that comes of a subscription, whatever is said on it.
    pub(super) async fn stream(master: &Master, authorization: &str, fields: Value) -> Stream {
        let mut info = json!({"user": "root", "name": "x", "failover_timeout": 60});
        info.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}});
        let headers = [JSON, ("authorization", authorization)];
        Stream::open(master.addr(), SCHEDULER, &headers, call.to_string().as_bytes()).await
    }

    pub(super) async fn call(&self, kind: &str, field: &str, part: Value) -> Answer {
        let body = json!({"type": kind, "framework_id": self.framework, field: part});
        let headers = [JSON, ("authorization", &*self.authorization), ("Mesos-Stream-Id", &*self.stream_id)];
        ask(self.master.addr(), "POST", SCHEDULER, &headers, body.to_string().as_bytes()).await
    }

    /// The first offer that comes.
    pub(super) async fn offer(&mut self) -> Value {
        self.stream.hears("OFFERS").await["offers"]["offers"][0].clone()
    }

    /// Launches on an offer.
    pub(super) async fn launch(&self, offer: &Value, tasks: &[Value]) -> Answer {
        let launch = json!({"type": "LAUNCH", "launch": {"task_infos": tasks}});
        self.call("ACCEPT", "accept", json!({"offer_ids": [offer["id"]], "operations": [launch]})).await
    }

    /// Leaves without a word.
    pub(super) fn vanish(self) {
        drop(self);
    }

    pub(super) async fn update(&mut self) -> Value {
        self.stream.hears("UPDATE").await["update"]["status"].clone()
    }

    pub(super) async fn acknowledge(&self, status: &Value) -> Answer {
        let taken = json!({"agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]});
        self.call("ACKNOWLEDGE", "acknowledge", taken).await
    }
}

/// A task that an agent played by the test takes.
pub(super) fn task(name: &str, offer: &Value) -> Value {
    json!({
        "name": name, "task_id": {"value": name}, "agent_id": offer["agent_id"],
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 16}},
        ],
        "command": {
            "shell": false, "value": "x.wasm", "arguments": ["x.wasm", "a"],
            "uris": [{"value": format!("sha256:{}", "ab".repeat(32)), "output_file": "x.wasm"}],
            "environment": {"variables": [{"name": "A", "value": "b"}]},
        },
    })
}
