"""Pretrained weights on the Hugging Face hub: find them on this machine, and download them.

They are stored in the hub's own cache, where other programs find them too. A file takes its place there as a whole and
after its SHA-256 was checked. The hub's library resumes a download after a broken connection within one call, but it
drops the partial file when the call ends: a download that was canceled or failed starts again. It reports progress,
and so can be canceled, once in a chunk of 10 MB.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from studio.core.errors import StudioError
from studio.core.files import sha256_file
from studio.core.messages import N_, Message

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

METADATA_TIMEOUT_SECONDS = 4
"""Time limit for the first answer of the hub."""
WEIGHTS_FILE = "model.safetensors"
_UNAVAILABLE = "unavailable-weights"
_STATUS_MESSAGES = {
    401: N_("Log in to the hub with `hf auth login` and try again."),
    403: N_("Log in to the hub with `hf auth login` and try again."),
    404: N_("They are no longer on the hub or not public. Choose another backbone."),
    429: N_("There were too many requests. Try again in a few minutes."),
}
"""Advice for answers of the hub that are only a status code."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Cancellable(Protocol):
    """A control that can cancel a download."""

    @property
    def stopping(self) -> bool:
        """Whether to stop."""


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """Progress of a download in bytes; ``bytes_per_second`` is the mean since its start."""

    done: int
    total: int
    bytes_per_second: float

    @property
    def seconds_left(self) -> float:
        """The remaining time at this speed; infinite before the first bytes."""
        return (self.total - self.done) / self.bytes_per_second if self.bytes_per_second else float("inf")


class CancelledError(StudioError):
    """The download was canceled."""


DownloadCallback = Callable[[DownloadProgress], None]


def cached_file(repository: str) -> Path | None:
    """Return the complete file on this machine, without asking the hub; None if it is missing."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, WEIGHTS_FILE, cache_dir=_hub_cache_dir())
    return Path(found) if isinstance(found, str) else None


def cached_repos() -> frozenset[str]:
    """Return all repositories whose weights are complete on this machine."""
    names = (folder.name.removeprefix("models--").replace("--", "/") for folder in _hub_cache_dir().glob("models--*"))
    return frozenset(name for name in names if cached_file(name) is not None)


def download(
    repository: str, on_progress: DownloadCallback = lambda progress: None, control: Cancellable | None = None
) -> Path:
    """Return the file on this machine; download it if it is missing.

    Raises StudioError if the hub cannot be reached or has no such file, the disk is full, or the file is damaged, and
    :class:`CancelledError` if ``control`` stops it.
    """
    from huggingface_hub import hf_hub_download

    found = cached_file(repository)
    if found is not None:
        return found
    metadata = _file_metadata(repository)
    reporter = _Reporter(repository, int(metadata.size or 0), on_progress, control)
    try:
        path = hf_hub_download(
            repository,
            WEIGHTS_FILE,
            cache_dir=_hub_cache_dir(),
            etag_timeout=METADATA_TIMEOUT_SECONDS,
            tqdm_class=reporter.bar_class(),
        )
    except StudioError:
        raise
    except Exception as error:
        raise _download_error(repository, error) from error
    return _checked(repository, Path(path), str(metadata.etag))


class _Reporter:
    """Counts the bytes of one download, and stops it by an exception in the hub's progress bar."""

    def __init__(self, repository: str, total: int, on_progress: DownloadCallback, control: Cancellable | None) -> None:
        self._repository, self._total, self._control = repository, total, control
        self._on_progress = on_progress
        self._done, self._start = 0, time.monotonic()
        on_progress(DownloadProgress(0, total, 0.0))

    def add(self, count: int) -> None:
        """Report ``count`` more bytes; StudioError for more than the total, CancelledError if it is to stop."""
        self._done += count
        if self._done > self._total:
            raise _damaged_error(self._repository)
        speed = self._done / max(1e-6, time.monotonic() - self._start)
        self._on_progress(DownloadProgress(self._done, self._total, speed))
        if self._control is not None and self._control.stopping:
            raise CancelledError("download-canceled", "The download was canceled.")

    def bar_class(self) -> type[Any]:
        """Return a progress bar class that shows nothing and reports here; only its first instance counts."""
        from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

        reporter, bars = self, list[Any]()

        class Bar(tqdm):
            """Progress bar without output. Xet makes a second one, for the same bytes."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
                bars.append(self)

            def update(self, n: float | None = 1) -> bool | None:
                if bars[0] is self:
                    reporter.add(int(n or 0))
                return None

        return Bar


def _hub_cache_dir() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _file_metadata(repository: str) -> "HfFileMetadata":
    """Ask the hub for size and checksum of the file, one short request, so that a missing network fails at once."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise StudioError(
            _UNAVAILABLE,
            "The weights {repository} are not on this machine, and HF_HUB_OFFLINE forbids the download. "
            "Unset it, or choose another backbone or a local checkpoint.",
            repository=repository,
        )
    try:
        metadata = get_hf_file_metadata(hf_hub_url(repository, WEIGHTS_FILE), timeout=METADATA_TIMEOUT_SECONDS)
    except Exception as error:
        raise _hub_error(repository, error) from error
    if not metadata.etag or not metadata.size:
        raise StudioError(
            _UNAVAILABLE,
            "Cannot download {repository}: the hub does not tell the size. Choose another backbone.",
            repository=repository,
        )
    return metadata


def _hub_error(repository: str, error: Exception) -> StudioError:
    """Return the error for a request that the hub rejected or did not answer."""
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(error, HfHubHTTPError):
        return StudioError(
            _UNAVAILABLE,
            "The weights {repository} are not on this machine, and the hub cannot be reached ({reason}). "
            "Connect to the internet, or choose another backbone or a local checkpoint.",
            repository=repository,
            reason=type(error).__name__,
        )
    return StudioError(
        _UNAVAILABLE,
        "Cannot download {repository} ({reason}). {advice}",
        repository=repository,
        reason=f"HTTP {error.response.status_code}",
        advice=_advice(error),
    )


def _advice(error: Any) -> Message:
    """Return what to do about an HTTP error of the hub, as one or two sentences."""
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return N_("Accept the terms of the weights on huggingface.co, log in, and try again.")
    if isinstance(error, EntryNotFoundError):
        return N_("They are published only as a file that can run code when opened. Choose another backbone.")
    if isinstance(error, RepositoryNotFoundError):
        return _STATUS_MESSAGES[404]
    return _STATUS_MESSAGES.get(error.response.status_code, N_("Try again later."))


def _download_error(repository: str, error: Exception) -> StudioError:
    """Return the error for a download that began and failed."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return _hub_error(repository, error)
    if isinstance(error, OSError) and error.errno is not None:
        return StudioError(
            "cannot-write",
            "Cannot write the weights to {folder}: {reason}. Free up disk space there.",
            folder=_hub_cache_dir(),
            reason=error.strerror or error,
        )
    if isinstance(error, OSError):  # the hub's library found another size
        return _damaged_error(repository)
    return StudioError(
        "download-failed",
        "The connection broke during the download of {repository} ({reason}). Try again.",
        repository=repository,
        reason=type(error).__name__,
    )


def _checked(repository: str, path: Path, etag: str) -> Path:
    """Return ``path``; delete it and raise StudioError if its SHA-256, which the hub gives as ``etag``, differs."""
    blob = path.resolve()
    if _SHA256.fullmatch(etag) and sha256_file(blob) != etag:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise _damaged_error(repository)
    return path


def _damaged_error(repository: str) -> StudioError:
    return StudioError(
        "damaged-file",
        "The weights {repository} arrived damaged and were deleted. Try again.",
        repository=repository,
    )
