"""Pretrained weights on the Hugging Face hub: whether they are on this machine, and fetching them.

They are kept in the hub's own cache, where other programs find them too. A fetch that is cut short goes on later from
where it was; a file comes to its place whole and checked, or not at all.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from studio.core.errors import StudioError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

METADATA_TIMEOUT_SECONDS = 4
"""A hub that does not answer in this time is not there."""
READ_TIMEOUT_SECONDS = 10
"""A hub that sends nothing for this long has gone."""
CHUNK_BYTES = 1 << 16
WEIGHTS_FILE = "model.safetensors"
_GATED_MESSAGE = "are given only to those who are known to the hub; log in there with `hf auth login`, and try again"
_STATUS_MESSAGES = {
    401: _GATED_MESSAGE,
    403: _GATED_MESSAGE,
    404: "are not on the hub any more, or not for everyone; choose another backbone",
    429: "cannot be fetched: the hub is asked too often from here; try again in a few minutes",
}
"""What an answer of the hub means where it says no more than a number."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Cancellable(Protocol):
    """Whoever waits for the weights may give up."""

    @property
    def stopping(self) -> bool:
        """Whether to stop."""


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a fetch is, in bytes; ``bytes_per_second`` in bytes a second since it began here."""

    done: int
    total: int
    bytes_per_second: float

    @property
    def seconds_left(self) -> float:
        """At this speed; infinite while nothing has come."""
        return (self.total - self.done) / self.bytes_per_second if self.bytes_per_second else float("inf")


class CancelledError(StudioError):
    """The one who waited has given up; what came is kept, to go on from."""


DownloadCallback = Callable[[DownloadProgress], None]


def cached_file(repository: str) -> Path | None:
    """The whole file on this machine, without asking the network; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, WEIGHTS_FILE, cache_dir=_hub_cache_dir())
    return Path(found) if isinstance(found, str) else None


def cached_repos() -> frozenset[str]:
    """All repositories whose weights are whole on this machine."""
    names = (folder.name.removeprefix("models--").replace("--", "/") for folder in _hub_cache_dir().glob("models--*"))
    return frozenset(name for name in names if cached_file(name) is not None)


def download(
    repository: str, on_progress: DownloadCallback = lambda fetched: None, control: Cancellable | None = None
) -> Path:
    """The file on this machine, fetched where it is not there yet.

    StudioError where there is no network, the hub has no such file, the disk is full, or what came is damaged;
    :class:`CancelledError` where ``control`` asks to stop.
    """
    found = cached_file(repository)
    if found is not None:
        return found
    about = _file_metadata(repository)
    blobs = _hub_cache_dir() / f"models--{repository.replace('/', '--')}" / "blobs"
    blob = blobs / str(about.etag)
    if not blob.is_file():
        try:
            blobs.mkdir(parents=True, exist_ok=True)
            _download_blob(repository, about, blob, on_progress, control)
        except OSError as error:
            raise _disk_error(error) from error
    return _add_to_snapshot(repository)


def _hub_cache_dir() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _file_metadata(repository: str) -> "HfFileMetadata":
    """Size, checksum and address of the file; one short question, so that a missing network is said at once."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise StudioError(
            f"The weights {repository} are not on this machine, and HF_HUB_OFFLINE forbids fetching them; "
            "unset it, choose a backbone that is on this machine, or choose a local checkpoint."
        )
    try:
        about = get_hf_file_metadata(hf_hub_url(repository, WEIGHTS_FILE), timeout=METADATA_TIMEOUT_SECONDS)
    except Exception as error:
        raise _hub_error(repository, error) from error
    if not about.etag or not about.size:
        raise StudioError(f"{repository} does not say how large its weights are; choose another backbone.")
    return about


def _hub_error(repository: str, error: Exception) -> StudioError:
    """What a failed question means, in a sentence."""
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        why = "are given only to those who accept their terms on huggingface.co and log in there; do that first"
    elif isinstance(error, EntryNotFoundError):
        why = "are published only in a form that can run code when it is opened; choose another backbone"
    elif isinstance(error, RepositoryNotFoundError):
        why = _STATUS_MESSAGES[404]
    elif isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        why = _STATUS_MESSAGES.get(code, f"cannot be fetched: the hub answers with an error ({code}); try again later")
    else:
        return StudioError(
            f"The weights {repository} are not on this machine and the hub cannot be reached "
            f"({type(error).__name__}); connect to the internet, choose a backbone that is on this machine, or choose "
            "a local checkpoint."
        )
    return StudioError(f"The weights {repository} {why}.")


def _download_blob(
    repository: str, metadata: "HfFileMetadata", blob: Path, on_progress: DownloadCallback, control: Cancellable | None
) -> None:
    """Fetch what is still missing into a file beside ``blob``, check the whole, and rename it into place."""
    part = blob.with_name(f"{blob.name}.studio-part")
    if part.exists() and part.stat().st_size > int(metadata.size or 0):
        part.unlink()
    with part.open("ab") as file:
        _stream(repository, metadata, file, on_progress, control)
    if part.stat().st_size != metadata.size or not _checksum_matches(part, str(metadata.etag)):
        part.unlink()
        raise StudioError(f"The weights {repository} arrived damaged and were thrown away; fetch them again.")
    part.replace(blob)


def _stream(
    repository: str,
    metadata: "HfFileMetadata",
    file: IO[bytes],
    on_progress: DownloadCallback,
    control: Cancellable | None,
) -> None:
    total, first, began = int(metadata.size or 0), file.tell(), time.monotonic()
    done = first
    on_progress(DownloadProgress(done, total, 0.0))
    for block in _iter_chunks(repository, metadata, first) if done < total else ():
        file.write(block)
        done += len(block)
        if done > total:  # what was promised is not what comes: the check that follows throws it away
            return
        on_progress(DownloadProgress(done, total, (done - first) / max(1e-6, time.monotonic() - began)))
        if control is not None and control.stopping:
            raise CancelledError("Fetching was cancelled; what came is kept, and fetching goes on from there.")


def _iter_chunks(repository: str, metadata: "HfFileMetadata", offset: int) -> Iterator[bytes]:
    """The file's content from the byte ``offset`` on; StudioError where the connection breaks."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(repository, WEIGHTS_FILE, revision=metadata.commit_hash)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        with get_session().stream("GET", url, headers=headers, timeout=READ_TIMEOUT_SECONDS) as response:
            hf_raise_for_status(response)
            skip = offset if response.status_code == 200 else 0  # a hub that knows no ranges begins again
            for block in response.iter_bytes(CHUNK_BYTES):
                yield block[skip:]
                skip = max(0, skip - len(block))
    except Exception as error:
        raise StudioError(
            f"The connection broke while fetching {repository} ({type(error).__name__}); "
            "what came is kept, try again to go on from there."
        ) from error


def _add_to_snapshot(repository: str) -> Path:
    """Let the hub's library put the file into its snapshot; it finds the content there and fetches nothing."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, WEIGHTS_FILE, cache_dir=_hub_cache_dir()))
    except OSError as error:
        raise _disk_error(error) from error
    except Exception as error:
        raise _hub_error(repository, error) from error


def _checksum_matches(file: Path, etag: str) -> bool:
    """Whether the content is what the hub says; it gives a SHA-256 for large files, and nothing to check for others."""
    if not _SHA256.fullmatch(etag):
        return True
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == etag


def _disk_error(error: OSError) -> StudioError:
    return StudioError(f"The weights cannot be kept in {_hub_cache_dir()}: {error.strerror or error}; make room there.")
