"""Forms of pydantic configs and their fields."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent

from studio.core.messages import N_
from studio.core.recipe import Training
from studio.ui.shared.config_form import ConfigForm, field_bounds
from studio.ui.widgets.fields import ChoiceField, FloatField, IntField, SwitchField, TextField


class Config(BaseModel):
    rank: int = Field(8, ge=1, le=64, description=N_("the rank"), title=N_("LoRA rank"))
    rate: float = Field(1e-3, gt=0, le=1)
    init: Literal["kaiming", "gaussian"] = "kaiming"
    bias: bool = False
    note: str = ""


@pytest.fixture
def form(qtbot):
    made = ConfigForm(Config)
    qtbot.addWidget(made)
    made.show_values(Config().model_dump())
    made.show()
    made.edits = []
    made.edited.connect(lambda name, value: made.edits.append((name, value)))
    return made


def test_each_type_has_its_widget_with_the_bounds_of_the_config(form):
    kinds = {name: type(field) for name, field in form.fields.items()}
    assert kinds == {"rank": IntField, "rate": FloatField, "init": ChoiceField, "bias": SwitchField, "note": TextField}
    assert (form.fields["rank"].minimum(), form.fields["rank"].maximum()) == (1, 64)
    assert form.fields["rank"].accessibleDescription() == "The rank"
    assert form.fields["rank"].accessibleName() == "LoRA rank"
    assert form.fields["rate"].accessibleName() == "Rate"
    assert field_bounds(Config.model_fields["rate"], 1e-12) == (1e-12, 1)


def test_showing_values_emits_no_signal(form):
    form.show_values({"rank": 3, "rate": 0.5, "init": "gaussian", "bias": True, "note": "x"})
    assert form.edits == []
    assert form.fields["rank"].value() == 3
    assert form.fields["init"].currentData() == "gaussian"


def test_edits_are_emitted_with_the_name_of_the_field(form, qtbot):
    form.fields["rank"].setValue(9)
    form.fields["bias"].click()
    qtbot.keyClicks(form.fields["note"], "hi")
    assert form.edits == [("rank", 9), ("bias", True)]
    qtbot.keyClick(form.fields["note"], Qt.Key.Key_Return)
    assert form.edits[-1] == ("note", "hi")


def test_a_number_beyond_its_bounds_cannot_be_entered(form, qtbot):
    field = form.fields["rank"]
    field.selectAll()
    qtbot.keyClicks(field, "999")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert field.value() <= 64


def test_small_numbers_are_shown_short_and_step_by_decades(form):
    field = form.fields["rate"]
    assert field.text() == "0.001"
    field.stepUp()
    assert field.text() == "0.002"
    field.stepUp()
    field.stepUp()
    assert field.text() == "0.01"
    field.stepDown()
    assert field.text() == "0.005"


def test_a_number_can_be_typed_with_an_exponent(form, qtbot):
    field = form.fields["rate"]
    field.selectAll()
    qtbot.keyClicks(field, "3e-5")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert form.edits == [("rate", 3e-5)]


def wheel(field, qapp):
    center = QPointF(field.rect().center())
    angle, phase = QPoint(0, 120), Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(
        center,
        field.mapToGlobal(center),
        QPoint(),
        angle,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        phase,
        False,
    )
    qapp.sendEvent(field, event)


def test_the_wheel_changes_a_field_only_while_it_has_the_focus(form, qtbot, qapp):
    field = form.fields["rank"]
    form.fields["note"].setFocus()
    wheel(field, qapp)
    assert field.value() == 8
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    wheel(field, qapp)
    assert field.value() == 9


def test_a_form_of_the_training_settings_shows_every_default(qtbot):
    form = ConfigForm(Training)
    qtbot.addWidget(form)
    form.show_values(Training().model_dump())
    assert set(form.fields) == set(Training.model_fields)
    assert form.fields["learning_rate"].value() == Training().learning_rate


def test_advanced_fields_are_in_a_section_that_counts_the_changed_ones(qtbot):
    form = ConfigForm(Config, ("rank",), section_title="Advanced")
    qtbot.addWidget(form)
    form.show()
    assert form.fields["rank"].isVisible()
    assert set(form.fields) == set(Config.model_fields)
    assert not any(form.fields[name].isVisible() for name in ("rate", "init", "bias", "note"))
    form.show_values({"rank": 3, "rate": 1e-3, "init": "gaussian", "bias": True, "note": ""})
    assert form.advanced_section.note_text == "2 changed"
    form.advanced_section.header.click()
    assert form.fields["init"].isVisible()
    form.show_values(Config().model_dump())
    assert form.advanced_section.note_text == ""
