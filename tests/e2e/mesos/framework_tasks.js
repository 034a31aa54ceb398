// npm's mesos-framework, unchanged: three instances with a port each, a kill that is made up for, a restart of the master.
"use strict";

const { Scheduler, Mesos } = require("mesos-framework");
const mesos = Mesos.getMesos();
const { MASTER, TOKEN, SLEEPER } = process.env;
const [host, port] = MASTER.split(":");

// How a task is written:
const command = new mesos.CommandInfo(
    [new mesos.CommandInfo.URI(SLEEPER, false, false, false, "task.wasm")],
    null, // environment
    false, // shell
    "task.wasm",
    ["task.wasm", "600"],
    null // user
);
const scheduler = new Scheduler({
    masterUrl: host,
    port,
    frameworkName: "js",
    restartStates: ["TASK_FAILED", "TASK_LOST", "TASK_ERROR", "TASK_KILLED"],
    logging: { path: process.env.LOGS, fileName: "framework.log", level: "error" },
    tasks: {
        sleeper: {
            priority: 1,
            instances: 3,
            commandInfo: command,
            resources: { cpus: 0.1, mem: 32, ports: 0, disk: 0 },
        },
    },
});

// It has no option for credentials: its requests are made from this.
const authorization = "Basic " + Buffer.from("mesos:" + TOKEN).toString("base64");
const generate = scheduler.generateRequestTemplate;
scheduler.generateRequestTemplate = () => {
    generate();
    scheduler.requestTemplate.headers.Authorization = authorization;
};
scheduler.generateRequestTemplate();

const states = new Map();
let subscriptions = 0;
let phase = "begin";
let killed = null;

const running = () => [...states].filter(([, status]) => status.state === "TASK_RUNNING").map(([name]) => name);

function go() {
    if (phase === "begin" && running().length === 3) {
        phase = "killing";
        killed = running()[0];
        scheduler.kill(killed, states.get(killed).agent_id.value);
    } else if (phase === "killing" && states.get(killed).state === "TASK_KILLED" && running().length === 3) {
        phase = "restarting";
        console.log("RESTART");
        subscriptions = 0;
    } else if (phase === "restarting" && subscriptions > 0) {
        // It asks for its tasks by itself.
        phase = "reconciling";
        states.clear();
    } else if (phase === "reconciling" && running().length === 3) {
        scheduler.teardown();
        console.log("DONE");
        setTimeout(() => process.exit(0), 500);
    }
}

scheduler.on("ready", () => scheduler.subscribe());
scheduler.on("subscribed", () => {
    subscriptions += 1;
    go();
});
scheduler.on("update", (update) => {
    states.set(update.status.task_id.value, update.status);
    go();
});
scheduler.on("error", (error) => console.error(error.message || String(error)));

// It hears of the end of a stream, and not of one that was cut off: it has to be told to come again.
let heard = Date.now();
scheduler.on("heartbeat", () => (heard = Date.now()));
setInterval(() => {
    if (Date.now() - heard > 12000) {
        heard = Date.now();
        scheduler.generateRequestTemplate();
        scheduler.subscribe();
    }
}, 1000);
setTimeout(() => {
    console.error("not within two minutes", phase, [...states].map(([name, status]) => name + " " + status.state));
    process.exit(1);
}, 120000);
