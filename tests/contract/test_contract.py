"""The contract of PEFT methods: every method on every family. The tests are those of the kit that plugins use."""

from studio.testing.test_attaching import *  # noqa: F403
from studio.testing.test_describing import *  # noqa: F403
from studio.testing.test_merging import *  # noqa: F403
from studio.testing.test_running import *  # noqa: F403
from studio.testing.test_saving import *  # noqa: F403
