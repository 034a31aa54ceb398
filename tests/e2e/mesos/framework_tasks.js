// npm's mesos-framework, unchanged: a task that greets, three instances of another, a kill that is made up for, a restart of the master,
// and another scheduler that takes over.
"use strict";

const { Scheduler, Mesos } = require("mesos-framework");
const mesos = Mesos.getMesos();
const { MASTER, TOKEN, MODULE, SLEEPER } = process.env;
const [host, port] = MASTER.split(":");

// How a task is written:
const command = (module, environment, ...args) =>
    new mesos.CommandInfo(
        [new mesos.CommandInfo.URI(module, false, false, false, "task.wasm")],
        new mesos.Environment(environment.map(([name, value]) => new mesos.Environment.Variable(name, value))),
        false, // shell
        "task.wasm",
        ["task.wasm", ...args],
        null // user
    );
const greeting = command(MODULE, [["HAGGLE_TASK_INDEX", "1"], ["HAGGLE_TASK_COUNT", "3"]], "Ada", "hello-1");
const sleeping = command(SLEEPER, [], "600");
const logging = { path: process.env.LOGS, fileName: "framework.log", level: "error" };
const scheduler = new Scheduler({
    masterUrl: host,
    port,
    frameworkName: "js",
    restartStates: ["TASK_FAILED", "TASK_LOST", "TASK_ERROR", "TASK_KILLED"],
    logging,
    tasks: {
        hello: { priority: 1, instances: 1, commandInfo: greeting, resources: { cpus: 0.1, mem: 32, ports: 0, disk: 0 } },
        sleeper: { priority: 2, instances: 3, commandInfo: sleeping, resources: { cpus: 0.1, mem: 32, ports: 0, disk: 0 } },
    },
});

// It has no option for credentials: its requests are made from this.
const authorization = "Basic " + Buffer.from("mesos:" + TOKEN).toString("base64");
function showToken(scheduler) {
    const generate = scheduler.generateRequestTemplate;
    scheduler.generateRequestTemplate = () => {
        generate();
        scheduler.requestTemplate.headers.Authorization = authorization;
    };
    scheduler.generateRequestTemplate();
}
showToken(scheduler);

const states = new Map();
let subscriptions = 0;
let phase = "begin";
let killed = null;
let watch = null;

const isIn = (task, state) => [...states].filter(([name, status]) => name.includes(task) && status.state === state).map(([name]) => name);
const running = () => isIn(".sleeper", "TASK_RUNNING");

function go() {
    if (phase === "begin" && running().length === 3 && isIn(".hello", "TASK_FINISHED").length === 1) {
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
        phase = "taking over";
        takeOver();
    }
}

// Another one comes with the id of the framework, which the first keeps in ZooKeeper where it has one.
function takeOver() {
    clearInterval(watch);
    scheduler.httpRequest.destroy();
    states.clear();
    const { masterUrl, port } = scheduler.options;
    const heir = new Scheduler({ masterUrl, port, frameworkName: "js", logging, tasks: {} });
    heir.frameworkId = scheduler.frameworkId;
    showToken(heir);
    let last = null;
    heir.on("ready", () => heir.subscribe());
    heir.on("subscribed", () => heir.reconcile());
    heir.on("error", (error) => console.error(error.message || String(error)));
    heir.on("update", (update) => {
        states.set(update.status.task_id.value, update.status);
        if (!last && running().length === 3) {
            last = running()[0];
            heir.kill(last, states.get(last).agent_id.value);
        } else if (last && states.get(last).state === "TASK_KILLED") {
            heir.teardown();
            console.log("DONE");
            setTimeout(() => process.exit(0), 500);
        }
    });
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
watch = setInterval(() => {
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
