"""The contracts of methods, exporters, sources and pages, by the tests of the kit that plugins use."""

from studio.testing.test_attaching import *  # noqa: F403
from studio.testing.test_describing import *  # noqa: F403
from studio.testing.test_exporting import *  # noqa: F403
from studio.testing.test_merging import *  # noqa: F403
from studio.testing.test_pages import *  # noqa: F403
from studio.testing.test_running import *  # noqa: F403
from studio.testing.test_saving import *  # noqa: F403
from studio.testing.test_sources import *  # noqa: F403
