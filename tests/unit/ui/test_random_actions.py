"""A person who does anything at all in any order: nothing breaks, and undo leads back to the start.

``PEFT_STUDIO_ACTIONS`` sets how many actions are drawn (2,000 unless told); more are drawn anew each time.
"""

import os
import random
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from PySide6.QtCore import QEvent, QEventLoop, QItemSelectionModel, Qt, QTimer
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QDialog, QFileDialog, QMessageBox, QWidget

from studio.core.recipe import Backbone, Recipe
from studio.ui.i18n.language import LANGUAGES, language
from studio.ui.services.drag_payload import to_mime
from studio.ui.services.tree_data import NodeRef
from studio.ui.style.theme import theme
from studio.ui.widgets.fields import ChoiceField, FloatField, IntField, SwitchField, TextField
from tests.windows import StudioWindow as MainWindow

USUAL = 2_000
WANTED = int(os.environ.get("PEFT_STUDIO_ACTIONS", USUAL))
STEPS = 100
PATIENCE_S = 60
share = st.integers(0, 999).map(lambda n: n / 1000)
"""Which of a list whose length is known only when the action is done."""


def pick(items, part):
    return items[int(part * len(items))]


def pause(milliseconds):
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class Person(RuleBasedStateMachine):
    """Acts on one window. Class attributes are set by the test: a folder for files, small backbones, errors caught."""

    folder: Path
    backbones: tuple[Backbone, ...]
    errors: list[str]
    done: Counter
    spent: list[MainWindow]

    @initialize(number=st.integers(0, 2))
    def open_window(self, number):
        self.window = MainWindow()
        self.window.resize(1080, 680)
        self.window.show()
        self.window.start()
        self.until(lambda: self.workspace.engine.ready)
        self.workspace.document.new(Recipe(backbone=self.backbones[number % len(self.backbones)]))
        self.until(lambda: self.workspace.engine.layers)
        self.start = self.workspace.recipe

    @property
    def workspace(self):
        return self.window.workspace

    def until(self, true):
        for _ in range(PATIENCE_S * 200):
            if true():
                return
            pause(5)
        raise AssertionError(f"waited in vain; errors so far: {self.errors}")

    def settled(self):
        last = self.workspace.engine.last_counts
        return last is not None and last.recipe == self.workspace.recipe and last.classes == self.workspace.classes

    def layers(self):
        return self.workspace.engine.layers

    # attaching

    @rule(which=share, where=share, part=st.sampled_from(["", "", "", "q", "k", "v"]))
    def drop_a_method(self, which, where, part):
        self.put(pick(self.window.adapters.palette_panel.methods, which).payload, where, part)

    @rule(which=share, where=share)
    def drop_a_preset(self, which, where):
        self.put(pick(self.window.adapters.palette_panel.presets, which).payload, where)

    def put(self, carried, where, part=""):
        if not self.layers():
            return
        model = self.window.adapters.tree_panel.model
        layer = pick(self.layers(), where)
        spot = NodeRef(layer.path, part if part in layer.slices else "")
        index = model.index_of(spot)
        data = to_mime(carried)
        if index.isValid() and model.canDropMimeData(data, Qt.DropAction.CopyAction, -1, -1, index):
            model.dropMimeData(data, Qt.DropAction.CopyAction, -1, -1, index)

    @rule(where=st.lists(share, min_size=1, max_size=4))
    def select_rows(self, where):
        if not self.layers():
            return
        page = self.window.adapters
        page.tree_panel.tree.clearSelection()
        for part in where:
            index = page.tree_panel.model.index_of(NodeRef(pick(self.layers(), part).path))
            flags = QItemSelectionModel.SelectionFlag
            page.tree_panel.tree.selectionModel().select(index, flags.Select | flags.Rows)
            page.tree_panel.tree.setCurrentIndex(index)

    @rule(alike=st.booleans())
    def attach_to_selection(self, alike):
        self.window.adapters.attach_selected(alike)

    @rule()
    def detach_selection(self):
        self.window.adapters.detach_selected()

    @rule(which=share)
    def copy_and_paste(self, which):
        if names := [a.name for a in self.workspace.recipe.attachments]:
            self.window.adapters.copy(pick(names, which))
            self.window.adapters.paste()

    @rule(where=share)
    def context_menu(self, where):
        if self.layers():
            page = self.window.adapters
            index = page.tree_panel.model.index_of(NodeRef(pick(self.layers(), where).path))
            menu = page.menu_at(page.tree_panel.tree.visualRect(index).center())
            menu.aboutToShow.emit()
            actions = [
                action for action in menu.actions() if action.isEnabled() and not action.menu() and action.text()
            ]
            if actions:
                pick(actions, where).trigger()
            menu.deleteLater()

    # fields

    @rule(which=share, field=share, value=share)
    def edit_an_attachment(self, which, field, value):
        if names := [a.name for a in self.workspace.recipe.attachments]:
            self.window.adapters.inspector.select(pick(names, which))
            self.change_a_field(self.window.adapters.inspector, field, value)

    @rule(page=st.sampled_from(["data", "train"]), field=share, value=share)
    def edit_the_rest(self, page, field, value):
        self.change_a_field(getattr(self.window, page), field, value)

    def change_a_field(self, parent, which, value):
        fields = [w for kind in (IntField, FloatField, ChoiceField, SwitchField) for w in parent.findChildren(kind)]
        fields = [w for w in fields if w.isEnabled() and not w.isHidden()]
        if fields:
            set_field(pick(fields, which), value)

    @rule(
        which=share,
        words=st.sampled_from(["blocks.*.attn.qkv", "blocks.0.mlp.fc1, head", "nothing.here", "**", "[", ""]),
    )
    def edit_targets(self, which, words):
        fields = [w for w in self.window.adapters.inspector.findChildren(TextField) if not w.isHidden()]
        if fields:
            field = pick(fields, which)
            field.setText(words)
            field.editingFinished.emit()

    @rule(which=share)
    def turn_a_switch(self, which):
        switches = [
            w for w in self.window.adapters.inspector.findChildren(QCheckBox) if not w.isHidden() and w.isEnabled()
        ]
        if switches:
            pick(switches, which).click()

    # history

    @rule(times=st.integers(1, 5))
    def undo(self, times):
        for _ in range(times):
            self.window.undo()

    @rule(times=st.integers(1, 5))
    def redo(self, times):
        for _ in range(times):
            self.window.redo()

    # images and backbones

    @rule(which=st.integers(0, 3))
    def choose_images(self, which):
        source = ["bundled:digits", str(self.folder / "images"), str(self.folder / "nowhere"), ""][which]
        self.window.data.use_images(source) if source else self.window.data.use_sample()

    @rule(which=share)
    def decide_about_an_image(self, which):
        summary = self.workspace.images.scan.summary
        if summary is not None and summary.images and "bundled" not in self.workspace.recipe.data.path:
            path = Path(pick(summary.images, which).path).name
            excluded = {*self.workspace.recipe.data.excluded} ^ {f"{pick(summary.classes, which)}/{path}"}
            self.workspace.set_value("data.excluded", sorted(excluded))

    @rule(which=share)
    def choose_a_backbone(self, which):
        self.workspace.set_value("backbone", pick(self.backbones, which).model_dump())

    # the window

    @rule(which=share)
    def turn_to_a_page(self, which):
        self.window.show_step(int(which * self.window.pages.count()))

    @rule(code=st.sampled_from(sorted(LANGUAGES)), chance=st.integers(0, 7))
    def speak(self, code, chance):
        if chance == 0:  # all pages are built anew, which takes as long as many other actions
            self.window.english() if code == "en" else self.window.chinese()

    @rule(dark=st.booleans(), chance=st.integers(0, 7))
    def paint(self, dark, chance):
        if chance == 0:
            self.window.dark() if dark else self.window.light()

    @rule(words=st.sampled_from(["qkv", "norm", "", "blocks.1", "zzz", "("]))
    def filter_the_tree(self, words):
        self.window.adapters.tree_panel.filter_edit.setText(words)

    @rule(words=st.sampled_from(["lora", "", "prompt", "zzz"]))
    def filter_the_palette(self, words):
        self.window.adapters.palette_panel.filter_edit.setText(words)

    @rule(wide=st.integers(900, 1700), high=st.integers(600, 1000))
    def resize(self, wide, high):
        self.window.resize(wide, high)

    @rule(call=st.sampled_from(["show_settings", "show_keys", "adapters.choose_backbone"]))
    def open_a_dialog(self, call):
        self.window.actions_by_slot[call].trigger() if call in self.window.actions_by_slot else (
            self.window.adapters.choose_backbone()
        )

    # files and runs

    @rule()
    def save_and_open_again(self):
        path = self.folder / "saved.toml"
        self.workspace.document.save(path)
        assert not self.workspace.document.modified
        before = self.workspace.recipe
        self.window.files.open_path(path)
        self.start = self.workspace.recipe
        assert self.start == before

    @rule(chance=st.integers(0, 9))
    def train_a_little(self, chance):
        if chance or self.workspace.trainer.running or not self.settled():
            return
        self.workspace.set_value("training.epochs", 1)
        self.window.start_training()
        pause(300)
        self.window.stop_training()

    @rule()
    def wait_for_the_counts(self):
        self.until(self.settled)
        self.check_the_counts()

    def check_the_counts(self):
        """The census on screen is that of the recipe, counted by itself."""
        last, recipe = self.workspace.engine.last_counts, self.workspace.recipe
        if last.parameter_counts is None:
            assert last.problem
            return
        rows = {a.name: a.parameters for a in last.parameter_counts.attachments}
        on = {a.name for a in recipe.attachments if a.enabled}
        assert set(rows) <= on
        shown = self.window.status_bar.trainable.value.text()
        assert shown == f"{last.parameter_counts.trainable_parameters:,}"

    @invariant()
    def nothing_broke(self):
        if not hasattr(self, "window"):
            return
        self.done["actions"] += 1
        QApplication.processEvents()
        for dialog in self.window.findChildren(QDialog):
            if dialog.isVisible() and self.done["actions"] % 3 == 0:
                dialog.reject()
        assert self.errors == []
        assert self.window.isWindowModified() == self.workspace.document.modified
        assert Recipe.loads(self.workspace.recipe.dumps()) == self.workspace.recipe

    def teardown(self):
        if not hasattr(self, "window"):
            return
        self.window.stop_training()
        self.until(lambda: not self.workspace.trainer.running)
        last, history = self.workspace.recipe, self.workspace.document.undo_stack
        history.setIndex(0)
        assert self.workspace.recipe == self.start
        history.setIndex(history.count())
        assert history.canRedo() or self.workspace.recipe == last or history.count() > 0
        self.until(self.settled)
        self.check_the_counts()
        history.setClean()
        self.window.close()
        self.window.deleteLater()
        QApplication.sendPostedEvents(self.window, QEvent.Type.DeferredDelete)
        assert self.errors == []


def set_field(field, value):
    """Change ``field`` to the value at ``value`` of its range, as its user does."""
    if isinstance(field, SwitchField):
        field.setChecked(value < 0.5)
    elif isinstance(field, QComboBox):
        field.setCurrentIndex(int(value * field.count()))
        field.activated.emit(field.currentIndex())
    else:
        low, high = field.minimum(), min(field.maximum(), field.minimum() + 64)
        wanted = low + value * (high - low)
        field.setValue(int(wanted) if isinstance(field, IntField) else wanted)


@pytest.fixture
def person(qapp, tmp_path, tiny_backbone, make_images, monkeypatch):
    """The state machine, with what its windows need, and nothing that would wait for an answer."""
    buttons = QMessageBox.StandardButton
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: buttons.Discard)
    monkeypatch.setattr(QMessageBox, "warning", lambda *a, **k: buttons.Ok)
    monkeypatch.setattr(QMessageBox, "exec", lambda box: buttons.Ok)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: ("", ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: ("", ""))
    for label in ("a", "b"):
        make_images(f"images/{label}", 4)
    errors = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: errors.append(f"{kind.__name__}: {error}"))
    monkeypatch.setattr(
        threading, "excepthook", lambda args: errors.append(f"{args.exc_type.__name__}: {args.exc_value}")
    )
    Person.folder, Person.errors, Person.done = tmp_path, errors, Counter()
    tiny = Backbone(name="tiny", source="local", weights=str(tiny_backbone))
    Person.backbones = (Backbone(), tiny, tiny.model_copy(update={"pretrained": False}))
    yield Person
    QApplication.clipboard().clear()  # what was copied would outlive Python on the platform without a screen
    language().set_language("en")
    theme().apply("light")


@pytest.mark.qt_no_exception_capture
def test_whatever_a_person_does(person):
    rounds = WANTED // 75 + 1  # some end before they have had all their steps
    rules = settings(
        max_examples=rounds,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=WANTED == USUAL,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    random.seed(0)
    run_state_machine_as_test(person, settings=rules)
    assert person.done["actions"] >= WANTED


def test_the_person_touches_real_widgets(window):
    kinds = (IntField, FloatField, ChoiceField, SwitchField)
    assert all(window.train.findChildren(kind) for kind in kinds)
    assert isinstance(window.train, QWidget)
