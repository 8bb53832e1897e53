"""``python -m tests.benchmarks.run [WORD...]``: measure, print a table, write ``artifacts/bench.json``.

With words, only benchmarks with one of them in their name are run. The exit status is 1 if a limit is missed.
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
    """Run the chosen benchmarks; return 1 if one misses its limit."""
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
    """Measure and print one benchmark; return its row of the report."""
    start = time.perf_counter()
    result = one.measure()
    value, details = (result.value, result.details) if isinstance(result, Measured) else (result, {})
    passed = one.passes(value)
    side = "" if one.bar is None else "at least" if one.at_least else "at most"
    limit = f" ({side} {one.bar:g})" if side else ""
    print(f"{'ok    ' if passed else 'MISSED'}  {value:8.3f} {one.unit}{limit}  {one.name}", flush=True)
    return {
        "name": one.name,
        "value": value,
        "unit": one.unit,
        "bar": one.bar,
        "side": side,
        "passed": passed,
        "details": details,
        "seconds": time.perf_counter() - start,
    }


def machine() -> dict[str, Any]:
    """Return the processor and the versions that the results depend on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
