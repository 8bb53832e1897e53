"""The command line in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def studio(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "studio", *map(str, arguments)],
        env=os.environ | {"PEFT_STUDIO_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
