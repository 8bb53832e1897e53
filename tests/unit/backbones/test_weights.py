"""Downloads from a hub: complete or not at all, with a coded error for every failure."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load

from studio.backbones import catalog, weights
from studio.backbones.loading import load_backbone as load_backbone
from studio.core.errors import StudioError
from studio.core.recipe import Backbone
from tests.data.hub import serve
from tests.unit.conftest import REMOTE

REPOSITORY = f"timm/{REMOTE}"


@dataclass
class Stop:
    stopping: bool = False


def partial_files():
    return list(weights._hub_cache_dir().rglob("*.incomplete"))


def patch_retry_sleep(monkeypatch, sleep):
    """Replace the pause between the retries of the hub's library, but not that of the server, which is the same."""
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(**{**vars(time), "sleep": sleep}))


def gets(hub):
    return [(path, wanted) for command, path, wanted in hub.asked if command == "GET"]


def test_weights_are_fetched_once_and_then_found_without_asking(hub, remote_weights):
    seen = []
    path = weights.download(REPOSITORY, seen.append)
    assert path.read_bytes() == remote_weights
    assert seen[0].done == 0
    assert seen[-1].done == seen[-1].total == len(remote_weights)
    assert seen[-1].bytes_per_second > 0
    assert seen[-1].seconds_left == 0
    before = len(hub.asked)
    assert weights.download(REPOSITORY) == path
    assert len(hub.asked) == before
    assert not partial_files()


def test_other_programs_find_them_in_the_hubs_cache(hub, remote_weights, monkeypatch):
    from huggingface_hub import hf_hub_download

    weights.download(REPOSITORY)
    found = hf_hub_download(REPOSITORY, "model.safetensors", cache_dir=constants.HF_HUB_CACHE, local_files_only=True)
    assert Path(found).read_bytes() == remote_weights


def test_a_fetched_backbone_has_the_values_that_the_hub_has(hub, remote_weights):
    module = load_backbone(Backbone(name=REMOTE, source="timm"))
    for name, value in load(remote_weights).items():
        assert torch.equal(module.state_dict()[name], value)


def test_the_catalog_knows_the_downloaded_weights(hub):
    def entry():
        return next(e for e in catalog.search(REMOTE) if e.name == REMOTE)

    assert not entry().available
    weights.download(REPOSITORY)
    assert entry().available
    assert catalog.search("test_")[0].name == REMOTE


def test_a_canceled_download_leaves_no_file_and_can_be_started_again(hub, remote_weights):
    stop = Stop()

    def report(progress):
        stop.stopping = progress.done > 0

    with pytest.raises(weights.CancelledError):
        weights.download(REPOSITORY, report, stop)
    assert weights.cached_file(REPOSITORY) is None
    assert not partial_files()
    assert weights.download(REPOSITORY).read_bytes() == remote_weights


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed(hub, remote_weights, monkeypatch, ranges):
    hub.cut, hub.ranges = 300_000, ranges

    def mend(seconds):
        hub.cut = 0

    patch_retry_sleep(monkeypatch, mend)
    seen = []
    assert weights.download(REPOSITORY, seen.append).read_bytes() == remote_weights
    assert any(bytes_range.startswith("bytes=") for _, bytes_range in gets(hub))
    assert seen[-1].done == len(remote_weights)


def test_a_connection_that_stays_broken_is_an_error(hub, remote_weights, monkeypatch):
    hub.cut = 300_000
    patch_retry_sleep(monkeypatch, lambda seconds: None)
    with pytest.raises(StudioError, match="connection broke") as raised:
        weights.download(REPOSITORY)
    assert raised.value.code == "download-failed"
    assert weights.cached_file(REPOSITORY) is None
    assert not partial_files()


def test_damaged_weights_are_deleted(hub, remote_weights):
    hub.damaged = True
    with pytest.raises(StudioError, match="arrived damaged"):
        weights.download(REPOSITORY)
    assert weights.cached_file(REPOSITORY) is None
    assert not partial_files()
    hub.damaged = False
    assert weights.download(REPOSITORY).read_bytes() == remote_weights


def test_a_larger_file_than_announced_is_rejected(hub, remote_weights):
    hub.surplus = 10_000_000
    seen = []
    with pytest.raises(StudioError, match="arrived damaged"):
        weights.download(REPOSITORY, seen.append)
    assert hub.sent < len(remote_weights) + 5_000_000
    assert all(fetched.done <= fetched.total for fetched in seen)
    assert not partial_files()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "no longer on the hub"),
        (404, "EntryNotFound", "can run code when opened"),
        (403, "GatedRepo", "Accept the terms"),
        (503, "", "HTTP 503"),
        (404, "", "no longer on the hub"),
        (401, "", "Log in to the hub"),
        (429, "", "in a few minutes"),
    ],
)
def test_each_answer_of_the_hub_has_its_advice(hub, status, code, words):
    hub.status, hub.code = status, code
    with pytest.raises(StudioError, match=words):
        weights.download(REPOSITORY)


def test_a_missing_network_fails_at_once(hub, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        unused = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", unused + "/{repo_id}/resolve/{revision}/{filename}")
    start = time.monotonic()
    with pytest.raises(StudioError, match=r"hub cannot be reached .*or a local checkpoint"):
        weights.download(REPOSITORY)
    assert time.monotonic() - start < 2


def test_a_silent_hub_times_out(hub, monkeypatch):
    monkeypatch.setattr(weights, "METADATA_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        start = time.monotonic()
        with pytest.raises(StudioError, match="cannot be reached"):
            weights.download(REPOSITORY)
        assert time.monotonic() - start < 3


def test_offline_mode_sends_no_request(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudioError, match="HF_HUB_OFFLINE forbids"):
        weights.download(REPOSITORY)
    assert hub.asked == []


def test_offline_mode_uses_what_is_on_this_machine(hub, monkeypatch):
    path = weights.download(REPOSITORY)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights.download(REPOSITORY) == path


def test_a_full_disk_is_a_coded_error(hub, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(StudioError, match=r"No space left on device\. Free up disk space"):
        weights.download(REPOSITORY)


def test_weights_that_are_only_a_pickle_are_refused_before_anything_is_fetched(hub):
    with pytest.raises(StudioError, match="can run code"):
        load_backbone(Backbone(name="gcvit_tiny.in1k", source="timm"))
    assert hub.asked == []


def test_the_environment_variable_of_the_hub_leads_there(hub, remote_weights, tmp_path):
    program = "import sys; from studio.backbones import weights; print(weights.download(sys.argv[1]))"
    with serve(hub) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "fresh")}
        done = subprocess.run(
            [sys.executable, "-c", program, REPOSITORY],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=environment,
        )
    assert Path(done.stdout.strip()).read_bytes() == remote_weights


def test_every_well_known_name_is_in_timm():
    assert set(catalog.WELL_KNOWN) <= set(timm.list_models(pretrained=True))
