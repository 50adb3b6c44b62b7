"""Runs one command and leaves a receipt: a program of its own, which outlives the run that started it.

    python -I -S notifier.py RECEIPT TIMEOUT LENGTH COMMAND…      the JSON object on standard input, LENGTH bytes

The receipt holds `begun` from just before the command starts, and its outcome once it has ended, so that the next run
can read what became of a notification whose run was killed. Standard library only; nothing of the package is imported.
"""

import json
import os
import subprocess
import sys
import tempfile


def main() -> None:
    """Read the whole object, note the start, run the command, note its outcome."""
    receipt, timeout, length, *command = sys.argv[1:]
    payload = sys.stdin.buffer.read()
    if len(payload) != int(length):  # the run was killed while it wrote: nothing has begun
        return
    write(receipt, {"begun": True})
    write(receipt, {"begun": True, "outcome": outcome(command, payload, float(timeout))})


def outcome(command: list[str], payload: bytes, timeout: float) -> str:
    """An empty text if the command succeeded, else what happened."""
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                command, input=payload, stdout=subprocess.DEVNULL, stderr=errors, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it took longer than {timeout:g} s and was stopped"
        except OSError as problem:
            return f"it cannot be run: {problem.strerror or problem}"
        if done.returncode == 0:
            return ""
        errors.seek(0)
        last = errors.read()[-2000:].decode(errors="replace").strip().splitlines()[-1:]
        return f"it left with code {done.returncode}" + "".join(f": {line}" for line in last)


def write(path: str, values: dict[str, object]) -> None:
    """Replace the receipt in one step."""
    beside = f"{path}.part"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


if __name__ == "__main__":
    main()
