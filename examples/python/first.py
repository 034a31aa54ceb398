"""A framework from its registration to its end: it waits for 1 cpu and 1024 MB, runs one task that sleeps, and leaves.

    python first.py SECONDS [MASTER]

Without MASTER it starts a master and an agent of its own.
"""

from __future__ import annotations

import sys

from haggle_cluster import Cluster, Error, Framework, Offers, Resources, Task, Update

WANTED = Resources(cpus=1.0, mem=1024 << 20)


def main(seconds: str, master: str | None = None) -> int:
    with Cluster(master) as cluster:
        print("the master is at", cluster.url)
        sleep = Task.inline(
            "import sys, time; time.sleep(float(sys.argv[1]))",
            args=[seconds],
            name=f"sleep {seconds}",
            cpus=WANTED.cpus,
            mem=WANTED.mem,
        )
        # Subscribes here; leaves at the end of the block.
        with cluster.framework("my_framework") as framework:
            print(framework.id, "is subscribed as my_framework")
            return run(framework, sleep)


def run(framework: Framework, task: Task) -> int:
    launched = False
    for event in framework:
        if isinstance(event, Offers):
            for offer in event.offers:
                if not launched and offer.resources.fits(WANTED):
                    (launched_as,) = framework.accept([offer], [task])
                    launched = True
                    print(f"{offer.id} of {offer.agent_name} is accepted for {launched_as}, {task.label}")
                else:
                    framework.decline([offer])
        elif isinstance(event, Update):
            print(event.status.task, "is", event.status.state, event.status.message)
            framework.acknowledge(event)
            if event.status.is_terminal:
                # Its resources are free again.
                return 0 if event.status.state == "FINISHED" else 1
        elif isinstance(event, Error):
            print(event.why, file=sys.stderr)
            return 1
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
