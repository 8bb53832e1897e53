"""``python -m tests.benchmarks.run [WORD...]``: measure, print a table, write ``artifacts/bench.json``.

With words, only benchmarks that have one of them in their name. Exit status 1 where a bar is missed.
"""

import importlib
import json
import pkgutil
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import tests.benchmarks as package
from tests.benchmarks.harness import BENCHMARKS, Benchmark, Measured

RESULTS = Path("artifacts/bench.json")


def main(words: Sequence[str]) -> int:
    """Run the chosen benchmarks."""
    torch.set_num_threads(1)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("bench_"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    chosen = [b for b in BENCHMARKS if not words or any(word.lower() in b.name.lower() for word in words)]
    rows = [measured(b) for b in chosen]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "benchmarks": rows}, indent=2) + "\n", encoding="utf-8")
    return int(not all(row["passed"] for row in rows))


def measured(one: Benchmark) -> dict[str, Any]:
    """Measure and print one."""
    begun = time.perf_counter()
    found = one.measure()
    value, details = (found.value, found.details) if isinstance(found, Measured) else (found, {})
    passed = one.passes(value)
    side = "" if one.bar is None else "at least" if one.at_least else "at most"
    held_to = f" ({side} {one.bar:g})" if side else ""
    print(f"{'ok    ' if passed else 'MISSED'}  {value:8.3f} {one.unit}{held_to}  {one.name}", flush=True)
    return {
        "name": one.name,
        "value": value,
        "unit": one.unit,
        "bar": one.bar,
        "side": side,
        "passed": passed,
        "details": details,
        "seconds": time.perf_counter() - begun,
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
