"""Results, first view: which classes are taken for which, the images behind each figure, and where the run looked."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QHeaderView, QSplitter, QStackedWidget, QTableView, QVBoxLayout, QWidget

from studio.ui.i18n.language import tr
from studio.ui.pages.results.class_metrics_model import SORT_ROLE, ClassTable
from studio.ui.pages.results.confusion_matrix import Confusion
from studio.ui.pages.results.inference_worker import BenchRoom
from studio.ui.pages.results.prediction_grid import PredictionGrid
from studio.ui.pages.results.saliency_view import LookView
from studio.ui.services.background import sentence
from studio.ui.services.thumbnails import SIDE, Thumbnails, small_picture
from studio.ui.style.formatting import count, percent
from studio.ui.widgets.components import Card, Column, Notice, Row, button, holder, text
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.row_table import row_table
from studio.ui.widgets.segmented_control import Segments
from studio.ui.widgets.table_model import ROW_ROLE

if TYPE_CHECKING:
    from studio.app.inference_session import Kind, Look
    from studio.evaluation.predictions import Prediction, Predictions

_LOOKS: "tuple[tuple[str, Kind | None, bool], ...]" = (
    ("Image only", None, False),
    ("Grad-CAM: found class", "grad-cam", False),
    ("Grad-CAM: true class", "grad-cam", True),
    ("Attention rollout", "rollout", False),
)
"""Words, kind of map, and whether it is made for the true class."""


class Mistakes(QWidget):
    """``try_wanted`` carries the path of an image that the user wants to try."""

    try_wanted = Signal(object)

    def __init__(self, thumbnails: Thumbnails, room: BenchRoom) -> None:
        super().__init__()
        self._room = room
        self.found: Predictions | None = None
        self._row: Prediction | None = None
        self._of_class: int | None = None
        parts = QSplitter(Qt.Orientation.Horizontal)
        parts.setChildrenCollapsible(False)
        for part in (self._figures(), self._images(thumbnails), self._detail()):
            parts.addWidget(part)
        parts.setSizes([420, 460, 300])
        for number, stretch in enumerate((4, 5, 3)):
            parts.setStretchFactor(number, stretch)
        box: QVBoxLayout = Column((parts, 1))
        self.setLayout(box)

    # building

    def _figures(self) -> QWidget:
        self.confusion = Confusion()
        self.confusion.chosen.connect(self._cell_chosen)
        self.class_model = ClassTable(self)
        self.table = self._class_table()
        self.views = QStackedWidget()
        self.views.addWidget(self.confusion)
        self.views.addWidget(self.table)
        self.which = Segments(tr("Confusion matrix or classes"), ((tr("Confusion"), ""), (tr("Classes"), "")))
        self.which.chosen.connect(self._show_figures)
        self.hint = text(tr("Press a cell to see its images."), "caption", wrap=True)
        card = Card("", Row(self.which, None), (self.views, 1), self.hint, padding=12)
        card.setMinimumWidth(330)
        return card

    def _class_table(self) -> QTableView:
        order = QSortFilterProxyModel(self)
        order.setSourceModel(self.class_model)
        order.setSortRole(SORT_ROLE)
        table = row_table(QTableView(), order, tr("Result of each class"), 28)
        table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        table.setSortingEnabled(True)
        table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setToolTip(tr("Press a heading to sort by it, or S in a column; again turns the order round"))
        QShortcut(QKeySequence("S"), table, self._sort, context=Qt.ShortcutContext.WidgetShortcut)
        table.selectionModel().currentRowChanged.connect(self._class_chosen)
        return table

    def _show_figures(self, number: int) -> None:
        """The confusion matrix, or the table of classes."""
        self.views.setCurrentIndex(number)
        words = tr("Choose a class to see its images.") if number else tr("Press a cell to see its images.")
        self.hint.setText(words)

    def _sort(self) -> None:
        """By the column that the cell in focus stands in, as pressing its heading does."""
        header, column = self.table.horizontalHeader(), max(0, self.table.currentIndex().column())
        rising = Qt.SortOrder.AscendingOrder
        again = header.sortIndicatorSection() == column and header.sortIndicatorOrder() == rising
        self.table.sortByColumn(column, Qt.SortOrder.DescendingOrder if again else rising)

    def _images(self, thumbnails: Thumbnails) -> QWidget:
        self.grid = PredictionGrid(thumbnails)
        self.grid.looked_at.connect(self._look_at)
        self.filter_words = text("", "heading", wrap=True)
        self.order = QComboBox()
        self.order.addItems([tr("Mistakes, most wrong first"), tr("All images, most wrong first"), tr("In order")])
        self.order.setAccessibleName(tr("Which images, and in which order"))
        guard_wheel(self.order)
        self.order.activated.connect(lambda row: self._filter())
        self.clear_button = button(tr("Show all"), self.show_all, "close", "quiet")
        self.none = text("", "muted", wrap=True)
        self.none.setAlignment(Qt.AlignmentFlag.AlignTop)
        head = Row((self.filter_words, 1), self.clear_button)
        card = Card("", head, Row(self.order, None), self.none, (self.grid, 1), padding=12)
        card.setMinimumWidth(250)
        return card

    def _detail(self) -> QWidget:
        self.view = LookView(tr("Chosen image"), tr("Choose an image to see it and where the run looked."), 110)
        self.looks = QComboBox()
        self.looks.addItems([tr(words) for words, _, _ in _LOOKS])
        self.looks.setToolTip(
            tr(
                "Grad-CAM (Selvaraju et al. 2017) shows what speaks for a class. Attention rollout (Abnar and Zuidema "
                "2020) shows what the attentions let through."
            )
        )
        self.looks.setAccessibleName(tr("What to show over the image"))
        guard_wheel(self.looks)
        self.looks.activated.connect(lambda row: self._show_look())
        self.words = text("", "field", wrap=True)
        self.loss = text("", "caption", wrap=True)
        self.trouble = Notice()
        self.try_button = button(tr("Try it"), self._try, "eye")
        self.details = holder(
            Column(self.words, self.loss, self.looks, self.trouble, Row(self.try_button, None), gap=8)
        )
        self.details.hide()
        card = Card("", (self.view, 1), self.details, padding=12)
        card.setMinimumWidth(230)
        return card

    # showing

    def show_found(self, found: "Predictions") -> None:
        """Show what a run says of a split."""
        self.found = found
        labels = [one.label for one in found.metrics.per_class]
        self.confusion.show_counts(labels, found.metrics.confusion)
        self.class_model.show_rows(found.metrics.per_class)
        self._forget()
        self.show_all()

    def show_all(self) -> None:
        """Leave the chosen cell or class."""
        self._of_class = None
        self.confusion.show_place(None)
        self.table.clearSelection()
        self.table.setCurrentIndex(QModelIndex())
        self._filter()

    def _cell_chosen(self, place: tuple[int, int] | None) -> None:
        self._of_class = None
        self._filter()

    def _class_chosen(self, now: QModelIndex, before: QModelIndex) -> None:
        if now.isValid():
            self.confusion.show_place(None)
            self._of_class = self.class_model.rows.index(now.data(ROW_ROLE))
            self._filter()

    def _filter(self) -> None:
        """Show the images of the chosen cell or class in the chosen order."""
        if self.found is None:
            return
        place, which = self.confusion.place, self.order.currentIndex()
        rows = [row for row in self.found.images if self._passes(row)]
        if place is None and which == 0:
            rows = [row for row in rows if not row.right]
        if which < 2:
            rows.sort(key=lambda row: -row.loss)
        self.grid.images.show_rows(self.confusion.labels, rows)
        self.filter_words.setText(self._words(len(rows)))
        self.clear_button.setVisible(place is not None or self._of_class is not None)
        self.none.setText("" if rows else tr("There are none."))
        self.none.setVisible(not rows)

    def _passes(self, row: "Prediction") -> bool:
        place = self.confusion.place
        if place is not None:
            return (row.label, row.found) == place
        return self._of_class in (None, row.label)

    def _words(self, shown: int) -> str:
        if self.confusion.place is not None:
            return self.confusion.sentence(*self.confusion.place)
        if self._of_class is not None:
            return tr("{n} images of {label}", n=count(shown), label=self.confusion.labels[self._of_class])
        mistakes = self.order.currentIndex() == 0
        return tr("{n} mistakes", n=count(shown)) if mistakes else tr("{n} images", n=count(shown))

    # one image

    def _forget(self) -> None:
        self._row = None
        self.details.hide()
        self.view.show_image(small_picture(Path(), 1), tr("Choose an image to see it and where the run looked."))

    def _look_at(self, row: "Prediction") -> None:
        self._row = row
        self.words.setText(self.grid.images.words(row))
        self.loss.setText(
            tr("{file}, loss {loss:.3f}, {share} for its class", file=row.path.name, loss=row.loss,
               share=percent(row.label_share))
        )  # fmt: skip
        self.loss.setToolTip(str(row.path))
        self.details.show()
        self.view.show_image(small_picture(row.path, 2 * SIDE))
        self._show_look()

    def _show_look(self) -> None:
        row, (_, kind, true) = self._row, _LOOKS[self.looks.currentIndex()]
        self.trouble.say("")
        if row is None or self._room.run is None:
            return
        if kind is None:
            self.view.show_image(small_picture(row.path, 2 * SIDE))
            return
        label = self.confusion.labels[row.label] if true else ""
        self._room.ask(
            lambda bench: bench.look(bench.names[0], row.path, kind, label),
            lambda look: self._take_look(row, look),
            lambda error: self._look_failed(error),
            "look",
        )

    def _take_look(self, row: "Prediction", look: "Look") -> None:
        if row is self._row and self.looks.currentIndex():
            self.view.show_look(look)

    def _look_failed(self, error: Exception) -> None:
        self.view.show_look(None)
        self.trouble.say(sentence(error), "warn")

    def _try(self) -> None:
        if self._row is not None:
            self.try_wanted.emit(self._row.path)
