"""PyPI's mesoshttp or its fork avmesos, unchanged: tasks, a kill, a restart of the master, a failover."""

import importlib
import os
import sys
import threading
import time

LIBRARY = sys.argv[1]
MesosClient = importlib.import_module(LIBRARY + ".client").MesosClient
MASTER, TOKEN, MODULE, SLEEPER = (os.environ[name] for name in ("MASTER", "TOKEN", "MODULE", "SLEEPER"))
# It has no header for credentials of its own; the library below takes them from the URL.
URL = "http://mesos:%s@%s" % (TOKEN, MASTER)
TASKS = 5


# How a task is written:
def task(name, module, arguments, offer):
    return {
        "name": name,
        "task_id": {"value": name},
        "agent_id": {"value": offer["agent_id"]["value"]},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
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


class Framework:
    def __init__(self, framework_id=None):
        self.changed = threading.Condition()
        self.pending = []
        self.states = {}
        self.driver = None
        self.subscriptions = 0
        self.client = MesosClient(
            mesos_urls=[URL], frameworkId=framework_id, frameworkName=LIBRARY, frameworkUser="root"
        )
        self.client.set_failover_timeout(300)
        self.client.on(MesosClient.SUBSCRIBED, self.subscribed)
        self.client.on(MesosClient.OFFERS, self.offers)
        self.client.on(MesosClient.UPDATE, self.update)
        self.thread = threading.Thread(target=self.client.register, daemon=True)

    def subscribed(self, driver):
        with self.changed:
            self.driver = driver
            self.subscriptions += 1
            self.changed.notify_all()

    def offers(self, offers):
        for offer in offers:
            with self.changed:
                launched, self.pending = self.pending, []
            tasks = [task(name, module, arguments, offer.get_offer()) for name, module, arguments in launched]
            filters = {"filters": {"refuse_seconds": 0.1}}
            offer.accept(tasks, filters) if tasks else offer.decline(filters)

    def update(self, update):
        status = update["status"]
        with self.changed:
            self.states[status["task_id"]["value"]] = (status["state"], status)
            self.changed.notify_all()

    def wait(self, what, holds, seconds=60):
        with self.changed:
            if not self.changed.wait_for(holds, seconds):
                sys.exit("not in time: %s; states %s" % (what, self.states))

    def is_in(self, name, state):
        return self.states.get(name, (None,))[0] == state

    def finds_its_sleeper(self):
        """Asks until the master knows it, whose agent may not be back yet."""
        with self.changed:
            self.states.clear()
        deadline = time.monotonic() + 60
        while not self.is_in("sleeper", "TASK_RUNNING"):
            if time.monotonic() > deadline:
                sys.exit("the sleeper is not known to the master: %s" % self.states)
            self.driver.reconcile([{"task_id": {"value": "sleeper"}}])
            with self.changed:
                self.changed.wait(0.5)


def main():
    framework = Framework()
    names = ["hello-%d" % number for number in range(TASKS)]
    framework.pending = [(name, MODULE, ["Ada", name]) for name in names] + [("sleeper", SLEEPER, ["600"])]
    framework.thread.start()
    framework.wait("all finish", lambda: all(framework.is_in(name, "TASK_FINISHED") for name in names))
    framework.wait("the sleeper runs", lambda: framework.is_in("sleeper", "TASK_RUNNING"))

    print("RESTART", flush=True)
    sys.stdin.readline()
    # It waits for ten seconds before it comes again.
    framework.wait("it is back", lambda: framework.subscriptions >= 2)
    framework.finds_its_sleeper()

    # Another client takes over.
    heir = Framework(framework.client.frameworkId)
    framework.client.disconnect_framework()
    framework.thread.join(30)
    assert not framework.thread.is_alive(), "the first client has left"
    heir.thread.start()
    heir.wait("the heir is subscribed", lambda: heir.subscriptions >= 1)
    assert heir.client.frameworkId == framework.client.frameworkId, heir.client.frameworkId
    heir.finds_its_sleeper()
    agent = heir.states["sleeper"][1]["agent_id"]["value"]
    asked = time.monotonic()
    heir.driver.kill(agent, "sleeper")
    heir.wait("the sleeper is killed", lambda: heir.is_in("sleeper", "TASK_KILLED"))
    assert time.monotonic() - asked < 5, "an event is not held up by the next one"
    heir.driver.tearDown()
    print("DONE", flush=True)
    os._exit(0)


main()
