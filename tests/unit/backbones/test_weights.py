"""Fetching weights from a hub: whole or not at all, going on where it was cut, and a sentence for whatever is wrong."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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


def parts():
    return list(weights._hub_cache_dir().rglob("*.studio-part"))


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
    assert not parts()


def test_other_programs_find_them_in_the_hubs_cache(hub, remote_weights, monkeypatch):
    from huggingface_hub import hf_hub_download

    weights.download(REPOSITORY)
    found = hf_hub_download(REPOSITORY, "model.safetensors", cache_dir=constants.HF_HUB_CACHE, local_files_only=True)
    assert Path(found).read_bytes() == remote_weights


def test_a_fetched_backbone_has_the_values_that_the_hub_has(hub, remote_weights):
    module = load_backbone(Backbone(name=REMOTE, source="timm"))
    for name, value in load(remote_weights).items():
        assert torch.equal(module.state_dict()[name], value)


def test_the_catalogue_knows_what_is_on_this_machine(hub):
    def entry():
        return next(e for e in catalog.search(REMOTE) if e.name == REMOTE)

    assert not entry().available
    weights.download(REPOSITORY)
    assert entry().available
    assert catalog.search("test_")[0].name == REMOTE


def test_cancelling_keeps_what_came_and_the_next_fetch_goes_on_there(hub, remote_weights):
    stop = Stop()

    def report(fetched):
        stop.stopping = fetched.done >= 200_000

    with pytest.raises(weights.CancelledError):
        weights.download(REPOSITORY, report, stop)
    assert weights.cached_file(REPOSITORY) is None
    came = parts()[0].stat().st_size
    assert 200_000 <= came < len(remote_weights)
    seen = []
    assert weights.download(REPOSITORY, seen.append).read_bytes() == remote_weights
    assert seen[0].done == came
    assert gets(hub)[-1][1] == f"bytes={came}-"


def test_a_broken_connection_says_so_and_the_next_fetch_goes_on(hub, remote_weights):
    hub.cut = 300_000
    with pytest.raises(StudioError, match=r"connection broke.*what came is kept"):
        weights.download(REPOSITORY)
    assert weights.cached_file(REPOSITORY) is None
    hub.cut = 0
    assert weights.download(REPOSITORY).read_bytes() == remote_weights
    assert gets(hub)[-1][1].startswith("bytes=")


def test_a_hub_without_ranges_begins_again_and_the_file_is_still_right(hub, remote_weights):
    hub.cut = 300_000
    with pytest.raises(StudioError):
        weights.download(REPOSITORY)
    hub.cut, hub.ranges = 0, False
    assert weights.download(REPOSITORY).read_bytes() == remote_weights


def test_damaged_weights_are_thrown_away(hub, remote_weights):
    hub.damaged = True
    with pytest.raises(StudioError, match="arrived damaged"):
        weights.download(REPOSITORY)
    assert weights.cached_file(REPOSITORY) is None
    assert not parts()
    hub.damaged = False
    assert weights.download(REPOSITORY).read_bytes() == remote_weights


def test_more_than_was_promised_is_not_taken(hub, remote_weights):
    hub.surplus = 10_000_000
    seen = []
    with pytest.raises(StudioError, match="arrived damaged"):
        weights.download(REPOSITORY, seen.append)
    assert hub.sent < len(remote_weights) + 5_000_000
    assert all(fetched.done <= fetched.total for fetched in seen)
    assert not parts()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "not on the hub any more"),
        (404, "EntryNotFound", "can run code when it is opened"),
        (403, "GatedRepo", "accept their terms"),
        (503, "", "answers with an error .503."),
        (404, "", "not on the hub any more"),
        (401, "", "log in there"),
        (429, "", "in a few minutes"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(hub, status, code, words):
    hub.status, hub.code = status, code
    with pytest.raises(StudioError, match=words):
        weights.download(REPOSITORY)


def test_no_network_is_said_at_once(hub, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nobody + "/{repo_id}/resolve/{revision}/{filename}")
    start = time.monotonic()
    with pytest.raises(StudioError, match=r"hub cannot be reached .*choose a local checkpoint"):
        weights.download(REPOSITORY)
    assert time.monotonic() - start < 2


def test_a_hub_that_does_not_answer_is_given_up_soon(hub, monkeypatch):
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


def test_offline_mode_is_honoured_without_a_question(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudioError, match="HF_HUB_OFFLINE forbids"):
        weights.download(REPOSITORY)
    assert hub.asked == []


def test_offline_mode_uses_what_is_on_this_machine(hub, monkeypatch):
    path = weights.download(REPOSITORY)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights.download(REPOSITORY) == path


def test_a_full_disk_is_one_sentence(hub, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "_stream", full)
    with pytest.raises(StudioError, match="No space left on device; make room"):
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
