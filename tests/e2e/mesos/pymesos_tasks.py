"""PyPI's pymesos, unchanged: tasks, a kill, a restart of the master, a failover."""

import os
import sys
import threading
import time

from pymesos import MesosSchedulerDriver, Scheduler

MASTER, TOKEN, MODULE, SLEEPER = (os.environ[name] for name in ("MASTER", "TOKEN", "MODULE", "SLEEPER"))
TASKS = 20


# How a task is written:
def task(name, module, arguments, offer):
    return {
        "name": name,
        "task_id": {"value": name},
        "agent_id": {"value": offer["agent_id"]["value"]},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.05}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
        ],
        "command": {
            "shell": False,
            "value": "task.wasm",
            "arguments": ["task.wasm"] + arguments,
            "uris": [{"value": module, "output_file": "task.wasm"}],
            "environment": {
                "variables": [
                    {"name": "HAGGLE_TASK_INDEX", "value": "1"},
                    {"name": "HAGGLE_TASK_COUNT", "value": "3"},
                ]
            },
        },
    }


class Tasks(Scheduler):
    def __init__(self):
        self.pending = []
        self.states = {}
        self.changed = threading.Condition()
        self.registrations = 0

    def registered(self, driver, framework_id, master_info):
        with self.changed:
            self.registrations += 1
            self.changed.notify_all()

    def reregistered(self, driver, master_info):
        self.registered(driver, None, master_info)

    def resourceOffers(self, driver, offers):
        for offer in offers:
            with self.changed:
                launched, self.pending = self.pending, []
            tasks = [task(name, module, arguments, offer) for name, module, arguments in launched]
            driver.launchTasks(offer["id"], tasks, {"refuse_seconds": 0.1})

    def statusUpdate(self, driver, update):
        with self.changed:
            self.states[update["task_id"]["value"]] = (update["state"], update.get("message"), update)
            self.changed.notify_all()

    def error(self, driver, message):
        sys.exit("the master said " + message)

    def wait(self, what, holds):
        with self.changed:
            if not self.changed.wait_for(holds, 60):
                sys.exit("not within a minute: %s; states %s" % (what, self.states))

    def is_in(self, name, state):
        return self.states.get(name, (None,))[0] == state


def driver_of(scheduler, framework):
    return MesosSchedulerDriver(scheduler, framework, MASTER, principal="mesos", secret=TOKEN)


def main():
    framework = {"user": "root", "name": "pymesos", "failover_timeout": 300}
    scheduler = Tasks()
    names = ["hello-%d" % number for number in range(TASKS)]
    scheduler.pending = [(name, MODULE, ["Ada", name]) for name in names] + [("sleeper", SLEEPER, ["600"])]
    driver = driver_of(scheduler, framework)
    driver.start()
    scheduler.wait("all finish", lambda: all(scheduler.is_in(name, "TASK_FINISHED") for name in names))
    scheduler.wait("the sleeper runs", lambda: scheduler.is_in("sleeper", "TASK_RUNNING"))

    scheduler.pending = [("shell", "echo", [])]
    driver.reviveOffers()
    scheduler.wait("a file that is nowhere is told", lambda: scheduler.is_in("shell", "TASK_ERROR"))
    assert "haggle upload" in scheduler.states["shell"][1], scheduler.states["shell"]

    print("RESTART", flush=True)
    sys.stdin.readline()
    scheduler.wait("it is back", lambda: scheduler.registrations >= 2)
    with scheduler.changed:
        scheduler.states.clear()
    deadline = time.monotonic() + 60
    while not scheduler.is_in("sleeper", "TASK_RUNNING"):
        if time.monotonic() > deadline:
            sys.exit("the sleeper is not known to the new master: %s" % scheduler.states)
        driver.reconcileTasks([{"task_id": {"value": "sleeper"}}])
        with scheduler.changed:
            scheduler.changed.wait(0.5)

    # Another driver takes over.
    framework["id"] = {"value": driver.framework_id}
    driver.stop(failover=True)
    driver.join()
    heir = Tasks()
    second = driver_of(heir, framework)
    second.start()
    heir.wait("the heir is subscribed", lambda: heir.registrations >= 1)
    second.reconcileTasks([])
    heir.wait("the sleeper runs on", lambda: heir.is_in("sleeper", "TASK_RUNNING"))
    second.killTask({"value": "sleeper"})
    heir.wait("the sleeper is killed", lambda: heir.is_in("sleeper", "TASK_KILLED"))
    second.stop()
    second.join()
    print("DONE", flush=True)


main()
