"""A sweep on the command line, from a recipe to the page of its report, and the same command once more."""

import json
from pathlib import Path

from studio.core.paths import resource
from tests.e2e.running import studio


def test_a_sweep_ends_in_a_report_and_is_not_trained_twice(tmp_path: Path) -> None:
    for label in "03":
        (tmp_path / "digits" / label).mkdir(parents=True)
        for image in sorted(resource("digits", label).glob("*.png"))[:10]:
            (tmp_path / "digits" / label / image.name).symlink_to(image)
    settings = (f"data.path={tmp_path / 'digits'}", "training.epochs=1", "attachments.lora.rank=1,2")
    options = [part for text in settings for part in ("--set", text)]
    command = ("sweep", resource("recipes", "digits-lora.toml"), *options, "--out", tmp_path / "sweep", "--json")

    first = studio(*command, home=tmp_path)
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    assert [row["state"] for row in answer["runs"]] == ["completed", "completed"]
    assert answer["runs"][1]["trainable_parameters"] > answer["runs"][0]["trainable_parameters"]
    assert "LoRA r1" in Path(answer["report"]).read_text()

    again = studio(*command, home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("already complete") == 2
    assert json.loads(again.stdout)["runs"] == answer["runs"]
