"""Memory of the service with one product, as one process and as several that are forked from one.

Read off /proc after the start, with nothing asked: memory that is a process's own (unique set size), and that of all
together with what they share counted once (proportional set size). Neither depends on what else the machine does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import psutil

from benchmarks.harness.inputs import served_folder
from benchmarks.harness.memory import cuda_bytes
from benchmarks.harness.report import Bar, machine, options_of, report
from benchmarks.harness.service_process import ServiceProcess

MOST_FURTHER_MIB = 250
MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--processes", type=int, default=2, help="in the second start [2]")
    given = options.parse_args(arguments)
    where = machine()
    with served_folder(given.artifact) as (folder, _):
        with ServiceProcess(folder) as alone:
            one = psutil.Process(alone.pid).memory_full_info()
            of_cuda = cuda_bytes(alone.pid)
        with ServiceProcess(folder, "--processes", str(given.processes)) as service:
            while service.metric("mkd_ready") < given.processes:
                time.sleep(0.1)
            parent = psutil.Process(service.pid)
            family = [parent, *parent.children(recursive=True)]
            found = {process.pid: process.memory_full_info() for process in family}
    largest = sorted((info.uss for info in found.values()), reverse=True)[: given.processes]
    results = {
        "one_process_resident_mib": one.rss // MIB,
        "one_process_of_cudas_libraries_mib": of_cuda // MIB,
        "one_process_own_mib": one.uss // MIB,
        "parent_own_mib": found[parent.pid].uss // MIB,
        "servers_own_mib": [own // MIB for own in largest],
        "all_together_mib": sum(info.pss for info in found.values()) // MIB,
    }
    bars = [Bar("a further process's own memory", max(largest) / MIB, "<=", MOST_FURTHER_MIB, "MiB")]
    return report("process_memory", given, where, results, bars)


if __name__ == "__main__":
    sys.exit(main())
