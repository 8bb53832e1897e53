"""Each way to drag on the layer tree, with the mouse of a real X server.

Run by its test under Xvfb: drives one window with xdotool and prints the recipe after each gesture as JSON.
"""

import json
import subprocess
import sys
from collections.abc import Callable

from PySide6.QtCore import QItemSelectionModel, QPoint, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from studio.ui.application import make_application
from studio.ui.pages.adapters.layer_tree_model import ATTACHMENTS, DIM_ROLE
from studio.ui.pages.adapters.palette_panel import METHODS_TAB, PRESETS_TAB
from studio.ui.services.tree_data import NodeRef
from tests.e2e.story import pause, wait
from tests.windows import StudioWindow as MainWindow

STEPS = 12
QKV = NodeRef("blocks.0.attn.qkv")


def xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True, timeout=20)


class Hand:
    """The mouse and the keyboard, driven by xdotool while the event loop runs."""

    def __init__(self, window: MainWindow) -> None:
        self.window, self.page = window, window.adapters
        self.seen: dict[str, object] = {}

    def at(self, widget: QWidget, point: QPoint) -> tuple[int, int]:
        position = widget.mapToGlobal(point)
        return position.x(), position.y()

    def row(self, ref: NodeRef) -> tuple[int, int]:
        tree = self.page.tree_panel.tree
        tree.scrollTo(self.page.tree_panel.model.index_of(ref))
        pause(60)
        box = tree.visualRect(self.page.tree_panel.model.index_of(ref))
        return self.at(tree.viewport(), QPoint(box.left() + 40, box.center().y()))

    def card(self, name: str) -> tuple[int, int]:
        """Return the position of a method's or preset's card in the palette."""
        palette = self.page.palette_panel
        palette.kind_switch.button_at(PRESETS_TAB if name.startswith("preset:") else METHODS_TAB).click()
        index = palette.model.index(palette.model.row_of(name))
        palette.list_view.scrollTo(index)
        pause(60)
        return self.at(palette.list_view.viewport(), palette.list_view.visualRect(index).center())

    def badge(self, ref: NodeRef, name: str) -> tuple[int, int]:
        tree, model = self.page.tree_panel.tree, self.page.tree_panel.model
        index = model.index_of(ref, ATTACHMENTS)
        boxes = tree._badge_boxes(index, model.node(index))
        box = next(box for box, badge in boxes if badge.attachment == name)
        return self.at(tree.viewport(), QPoint(box.left() + 14, box.center().y()))

    def drag(
        self, start: tuple[int, int], end: tuple[int, int], key: str = "", look: Callable[[], None] | None = None
    ) -> None:
        """Drag from ``start`` to ``end`` in small steps, calling ``look`` meanwhile; ``key`` is held from half-way."""
        moves = [
            (start[0] + (end[0] - start[0]) * n // STEPS, start[1] + (end[1] - start[1]) * n // STEPS)
            for n in range(1, STEPS + 1)
        ]
        script = ["mousemove", *map(str, start), "mousedown", "1"]
        for number, (x, y) in enumerate(moves):
            if key and number == STEPS // 2:
                script += ["keydown", key]
            script += ["mousemove", str(x), str(y), "sleep", "0.03"]
        script += ["mousemove", str(end[0] + 1), str(end[1]), "sleep", "0.7" if look else "0.15"]
        script += ["mouseup", "1", "sleep", "0.1"] + (["keyup", key] if key else [])
        child = subprocess.Popen(["xdotool", *script])
        looking = QTimer()  # a drag has an event loop of its own, in which only timers run
        looking.timeout.connect(look or (lambda: None))
        looking.start(40)
        while child.poll() is None:
            pause(20)
        looking.stop()
        pause(120)

    def click(self, position: tuple[int, int], times: int = 1, key: str = "") -> None:
        script = (["keydown", key] if key else []) + ["mousemove", *map(str, position), "sleep", "0.05"]
        script += ["click", "--repeat", str(times), "--delay", "60", "1", "sleep", "0.05"]
        child = subprocess.Popen(["xdotool", *script, *(["keyup", key] if key else [])])
        while child.poll() is None:
            pause(20)
        pause(120)

    def type(self, *keys: str) -> None:
        child = subprocess.Popen(["xdotool", "key", *keys])
        while child.poll() is None:
            pause(20)
        pause(120)


class Gestures:
    """Each public method is one gesture on a new recipe; :meth:`state` returns its result."""

    def __init__(self, hand: Hand) -> None:
        self.hand, self.page, self.workspace = hand, hand.page, hand.window.workspace

    def names(self) -> list[str]:
        return [name for name in vars(type(self)) if not name.startswith("_") and name not in ("names", "run", "state")]

    def run(self, name: str) -> dict[str, object]:
        self._clean()
        getattr(self, name)()
        wait(self._counted, "the counts")
        return self.state()

    def state(self) -> dict[str, object]:
        result = {"attachments": [a.model_dump(mode="json") for a in self.workspace.recipe.attachments]}
        return result | {"steps": self.workspace.document.undo_stack.count(), **self.hand.seen}

    def _counted(self) -> bool:
        engine = self.workspace.engine
        return engine.last_counts is not None and engine.last_counts.recipe == self.workspace.recipe and not engine.busy

    def _clean(self) -> None:
        self.workspace.document.new()
        self.hand.seen = {}
        self.page.tree_panel.tree.clearSelection()
        self.page.tree_panel.tree.setCurrentIndex(self.page.tree_panel.model.index_of(NodeRef()))
        self.page.tree_panel.tree.clearSelection()
        wait(self._counted, "the counts")
        pause(80)

    def _select(self, *paths: str) -> None:
        flag = QItemSelectionModel.SelectionFlag
        for path in paths:
            self.page.tree_panel.tree.selectionModel().select(
                self.page.tree_panel.model.index_of(NodeRef(path)), flag.Select | flag.Rows
            )

    def _attach(self) -> None:
        """Attach LoRA to the first qkv layer."""
        self.workspace.attach("lora", (QKV,))
        wait(self._counted, "the counts")
        pause(100)

    # from the palette

    def to_a_layer(self) -> None:
        def look() -> None:
            tree = self.page.tree_panel.model
            if tree.index_of(NodeRef("blocks.0.norm1")).data(DIM_ROLE):
                self.hand.seen["dimmed"] = "norm1"
                self.hand.seen["kept"] = not tree.index_of(QKV).data(DIM_ROLE)
            if "parameters" in self.page.tree_panel.hint.text():
                self.hand.seen["hint"] = self.page.tree_panel.hint.text()

        self.hand.drag(self.hand.card("lora"), self.hand.row(QKV), look=look)

    def to_a_block(self) -> None:
        self.hand.drag(self.hand.card("lora"), self.hand.row(NodeRef("blocks.1")))

    def to_the_root(self) -> None:
        self.hand.drag(self.hand.card("lora"), self.hand.row(NodeRef()))

    def to_a_selection(self) -> None:
        self._select("blocks.1", "blocks.2", "blocks.4")
        self.hand.drag(self.hand.card("lora"), self.hand.row(NodeRef("blocks.2")))

    def with_ctrl_to_all_of_the_kind(self) -> None:
        self.hand.drag(self.hand.card("lora"), self.hand.row(NodeRef("blocks.0.attn.proj")), key="ctrl")

    def to_a_row_that_refuses(self) -> None:
        def look() -> None:
            if self.page.tree_panel.hint.text().startswith("LoRA needs"):
                self.hand.seen["hint"] = self.page.tree_panel.hint.text()

        self.hand.drag(self.hand.card("lora"), self.hand.row(NodeRef("blocks.0.norm1")), look=look)

    def a_preset_to_the_root(self) -> None:
        self.hand.drag(self.hand.card("preset:last-4-blocks"), self.hand.row(NodeRef()))

    # badges

    def a_badge_to_another_layer(self) -> None:
        self._attach()
        self.hand.drag(self.hand.badge(QKV, "lora"), self.hand.row(NodeRef("blocks.0.mlp")))

    def a_badge_with_shift_moves(self) -> None:
        self._attach()
        self.hand.drag(self.hand.badge(QKV, "lora"), self.hand.row(NodeRef("blocks.1")), key="shift")

    def a_badge_out_of_the_tree(self) -> None:
        self._attach()
        palette = self.page.palette_panel.list_view.viewport()
        self.hand.drag(self.hand.badge(QKV, "lora"), self.hand.at(palette, palette.rect().center()))

    def one_badge_of_many_out_of_the_tree(self) -> None:
        self.workspace.attach("lora", (NodeRef(),))
        wait(self._counted, "the counts")
        pause(100)
        palette = self.page.palette_panel.list_view.viewport()
        self.hand.drag(self.hand.badge(QKV, "lora"), self.hand.at(palette, palette.rect().center()))

    def a_badge_to_a_row_that_refuses(self) -> None:
        self._attach()
        self.hand.drag(self.hand.badge(QKV, "lora"), self.hand.row(NodeRef("blocks.0.norm1")))

    # the same by keyboard, double-click and menu

    def by_enter(self) -> None:
        self.hand.card("lora")
        self.hand.click(self.hand.row(QKV))
        self.hand.type("Return")

    def by_ctrl_shift_enter(self) -> None:
        self.hand.card("lora")
        self.hand.click(self.hand.row(NodeRef("blocks.0.attn.proj")))
        self.hand.type("ctrl+shift+Return")

    def by_double_click(self) -> None:
        self.hand.click(self.hand.row(NodeRef("blocks.1")))
        self.hand.click(self.hand.card("lora"), times=2)

    def by_copy_and_paste(self) -> None:
        self._attach()
        self.hand.click(self.hand.row(QKV))
        self.hand.type("ctrl+c")
        self.hand.click(self.hand.row(NodeRef("blocks.1")))
        self.hand.type("ctrl+v")

    def by_cut_and_paste(self) -> None:
        self._attach()
        self.hand.click(self.hand.row(QKV))
        self.hand.type("ctrl+x")
        self.hand.click(self.hand.row(NodeRef("blocks.1")))
        self.hand.type("ctrl+v")

    def by_delete(self) -> None:
        self._attach()
        self.hand.click(self.hand.row(QKV))
        self.hand.type("Delete")

    def a_double_click_on_a_badge_goes_to_its_settings(self) -> None:
        self._attach()
        self.hand.click(self.hand.badge(QKV, "lora"), times=2)
        focus = QApplication.focusWidget()
        self.hand.seen["focus"] = focus.accessibleName() if focus else ""

    def by_menu(self) -> None:
        self.hand.card("lora")
        position = self.hand.row(QKV)
        child = subprocess.Popen(["xdotool", "mousemove", *map(str, position), "click", "3", "sleep", "0.4",
                                  "key", "Down", "sleep", "0.1", "key", "Return"])  # fmt: skip
        while child.poll() is None:
            pause(20)
        pause(150)


def main() -> None:
    make_application(["peft-studio"], "light")
    window = MainWindow()
    window.move(0, 0)
    window.resize(1360, 860)
    window.show()
    window.start()
    wait(lambda: window.workspace.engine.last_counts is not None, "the layers")
    window.show_adapters()
    window.activateWindow()
    window.adapters.tree_panel.tree.expand(window.adapters.tree_panel.model.index_of(NodeRef("blocks.0.mlp")))
    gestures = Gestures(Hand(window))
    chosen = sys.argv[1:] or gestures.names()
    results = {name: gestures.run(name) for name in chosen}
    window.workspace.document.undo_stack.setClean()
    window.close()
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
