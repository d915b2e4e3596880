#!/usr/bin/env bash
# Versions  Ray 2.60.0; Python 3.11 or newer; Linux.
# Guess     A task on a Ray cluster has the priority of the program that asks for it.
# Behaviour Workers, and all that they start, have a niceness of 15, whatever `num_cpus` reserves: beside
#           busy programs of niceness 0 a task gets next to nothing. The environment variable
#           RAY_worker_niceness, of whoever starts the node, changes that.
# Output    by default: program 0, task 15, child of a task 15
#           RAY_worker_niceness=0: program 0, task 0, child of a task 0
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q --disable-pip-version-check ray==2.60.0
cat >"$T/ask.py" <<'PY'
import os
import subprocess
import sys

import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[1])


@ray.remote(num_cpus=1)
def task():
    child = subprocess.run([sys.executable, "-c", "import os; print(os.nice(0))"], capture_output=True)
    return os.nice(0), int(child.stdout)


own, child = ray.get(task.remote())
print(f"program {os.nice(0)}, task {own}, child of a task {child}")
PY
# A node's sockets are in its folder, and their paths may have 107 bytes.
plain=$("$T/venv/bin/python" "$T/ask.py" "$T/a" 2>/dev/null)
equal=$(RAY_worker_niceness=0 "$T/venv/bin/python" "$T/ask.py" "$T/b" 2>/dev/null)
printf 'by default: %s\nRAY_worker_niceness=0: %s\n' "$plain" "$equal"
test "$plain" = "program 0, task 15, child of a task 15"
test "$equal" = "program 0, task 0, child of a task 0"
