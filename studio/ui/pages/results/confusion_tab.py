"""First tab of the results: confusion matrix, class metrics and their images."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QHeaderView, QSplitter, QStackedWidget, QTableView, QVBoxLayout, QWidget

from studio.core.messages import N_, Message
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.results.class_metrics_model import SORT_ROLE, ClassMetricsModel
from studio.ui.pages.results.confusion_matrix import ConfusionMatrix
from studio.ui.pages.results.inference_worker import InferenceWorker
from studio.ui.pages.results.prediction_grid import PredictionGrid
from studio.ui.pages.results.saliency_view import SaliencyView
from studio.ui.services.error_text import error_message
from studio.ui.services.thumbnails import THUMBNAIL_PIXELS, Thumbnails, render_thumbnail
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.components import Card, HBox, VBox, button, container, text_label
from studio.ui.widgets.fields import guard_wheel
from studio.ui.widgets.row_table import set_up_row_table
from studio.ui.widgets.segmented_control import SegmentedControl
from studio.ui.widgets.table_model import ROW_ROLE

if TYPE_CHECKING:
    from studio.app.inference_session import SaliencyKind, SaliencyMap
    from studio.evaluation.predictions import Prediction, Predictions

_SALIENCY_MODES: "tuple[tuple[Message, SaliencyKind | None, bool], ...]" = (
    (N_("Image only"), None, False),
    (N_("Grad-CAM: predicted class"), "grad-cam", False),
    (N_("Grad-CAM: true class"), "grad-cam", True),
    (N_("Attention rollout"), "rollout", False),
)
"""Title, kind of map, and whether it is for the true class."""


class ConfusionTab(QWidget):
    """Tab of predictions; ``try_requested`` carries the path of an image to try."""

    try_requested = Signal(object)

    def __init__(self, thumbnails: Thumbnails, inference: InferenceWorker) -> None:
        super().__init__()
        self._inference = inference
        self.predictions: Predictions | None = None
        self._row: Prediction | None = None
        self._class_filter: int | None = None
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        for card in (self._figures(), self._images(thumbnails), self._detail()):
            self.splitter.addWidget(card)
        self.splitter.setSizes([420, 460, 300])
        for number, stretch in enumerate((4, 5, 3)):
            self.splitter.setStretchFactor(number, stretch)
        box: QVBoxLayout = VBox((self.splitter, 1))
        self.setLayout(box)

    # building

    def _figures(self) -> QWidget:
        self.confusion = ConfusionMatrix()
        self.confusion.chosen.connect(self._cell_chosen)
        self.class_model = ClassMetricsModel(self)
        self.table = self._class_table()
        self.views = QStackedWidget()
        self.views.addWidget(self.confusion)
        self.views.addWidget(self.table)
        self.view_switch = SegmentedControl(
            tr("Confusion matrix or classes"), ((tr("Confusion"), ""), (tr("Classes"), ""))
        )
        self.view_switch.chosen.connect(self._show_figures)
        self.hint = text_label(tr("Click a cell to see its images."), "caption", wrap=True)
        card = Card("", HBox(self.view_switch, None), (self.views, 1), self.hint, padding=12)
        card.setMinimumWidth(330)
        return card

    def _class_table(self) -> QTableView:
        order = QSortFilterProxyModel(self)
        order.setSourceModel(self.class_model)
        order.setSortRole(SORT_ROLE)
        table = set_up_row_table(QTableView(), order, tr("Metrics of each class"), 28)
        table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        table.setSortingEnabled(True)
        table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setToolTip(tr("Click a heading (or press S) to sort; again to reverse"))
        QShortcut(QKeySequence("S"), table, self._sort, context=Qt.ShortcutContext.WidgetShortcut)
        table.selectionModel().currentRowChanged.connect(self._class_chosen)
        return table

    def _show_figures(self, number: int) -> None:
        """Show the confusion matrix or the table of classes."""
        self.views.setCurrentIndex(number)
        self.hint.setText(tr("Select a class to see its images.") if number else tr("Click a cell to see its images."))

    def _sort(self) -> None:
        """Sort by the column of the current cell, as a click on its heading does."""
        header, column = self.table.horizontalHeader(), max(0, self.table.currentIndex().column())
        ascending = Qt.SortOrder.AscendingOrder
        again = header.sortIndicatorSection() == column and header.sortIndicatorOrder() == ascending
        self.table.sortByColumn(column, Qt.SortOrder.DescendingOrder if again else ascending)

    def _images(self, thumbnails: Thumbnails) -> QWidget:
        self.grid = PredictionGrid(thumbnails)
        self.grid.image_selected.connect(self._select_image)
        self.filter_label = text_label("", "heading", wrap=True)
        self.order = QComboBox()
        self.order.addItems(
            [tr("Mistakes, highest loss first"), tr("All images, highest loss first"), tr("All images in order")]
        )
        self.order.setAccessibleName(tr("Images and their order"))
        guard_wheel(self.order)
        self.order.activated.connect(lambda row: self._filter())
        self.clear_button = button(tr("Show all"), self.show_all, "close", "quiet")
        self.empty_label = text_label("", "muted", wrap=True)
        self.empty_label.setAlignment(Qt.AlignmentFlag.AlignTop)
        head = HBox((self.filter_label, 1), self.clear_button)
        card = Card("", head, HBox(self.order, None), self.empty_label, (self.grid, 1), padding=12)
        card.setMinimumWidth(250)
        return card

    def _detail(self) -> QWidget:
        self.view = SaliencyView(tr("Selected image"), tr("Select an image to see its saliency map."), 110)
        self.saliency_mode = QComboBox()
        self.saliency_mode.addItems([localized(title) for title, _, _ in _SALIENCY_MODES])
        self.saliency_mode.setToolTip(
            tr(
                "Grad-CAM (Selvaraju et al. 2017): evidence for a class; attention rollout (Abnar and Zuidema 2020): "
                "attention flow from the image to the output"
            )
        )
        self.saliency_mode.setAccessibleName(tr("Overlay"))
        guard_wheel(self.saliency_mode)
        self.saliency_mode.activated.connect(lambda row: self._show_saliency())
        self.prediction_label = text_label("", "field", wrap=True)
        self.loss_label = text_label("", "caption", wrap=True)
        self.banner = ErrorBanner()
        self.try_button = button(tr("Try it"), self._request_try, "eye")
        self.details = container(
            VBox(
                self.prediction_label,
                self.loss_label,
                self.saliency_mode,
                self.banner,
                HBox(self.try_button, None),
                gap=8,
            )
        )
        self.details.hide()
        card = Card("", (self.view, 1), self.details, padding=12)
        card.setMinimumWidth(230)
        return card

    # showing

    def show_predictions(self, predictions: "Predictions") -> None:
        """Show the predictions of a run for a split."""
        self.predictions = predictions
        labels = [metrics.label for metrics in predictions.metrics.per_class]
        self.confusion.show_counts(labels, predictions.metrics.confusion)
        self.class_model.show_rows(predictions.metrics.per_class)
        self._clear_image()
        self.show_all()

    def show_all(self) -> None:
        """Clear the selected cell or class."""
        self._class_filter = None
        self.confusion.select_cell(None)
        self.table.clearSelection()
        self.table.setCurrentIndex(QModelIndex())
        self._filter()

    def _cell_chosen(self, cell: tuple[int, int] | None) -> None:
        self._class_filter = None
        self._filter()

    def _class_chosen(self, now: QModelIndex, before: QModelIndex) -> None:
        if now.isValid():
            self.confusion.select_cell(None)
            self._class_filter = self.class_model.rows.index(now.data(ROW_ROLE))
            self._filter()

    def _filter(self) -> None:
        """Show the images of the selected cell or class in the selected order."""
        if self.predictions is None:
            return
        cell, order = self.confusion.selected_cell, self.order.currentIndex()
        rows = [row for row in self.predictions.images if self._matches_filter(row)]
        if cell is None and order == 0:
            rows = [row for row in rows if not row.is_correct]
        if order < 2:
            rows.sort(key=lambda row: -row.loss)
        self.grid.images.show_rows(self.confusion.labels, rows)
        self.filter_label.setText(self._filter_text(len(rows)))
        self.clear_button.setVisible(cell is not None or self._class_filter is not None)
        self.empty_label.setText("" if rows else tr("No images"))
        self.empty_label.setVisible(not rows)

    def _matches_filter(self, row: "Prediction") -> bool:
        cell = self.confusion.selected_cell
        if cell is not None:
            return (row.label, row.predicted) == cell
        return self._class_filter in (None, row.label)

    def _filter_text(self, shown: int) -> str:
        if self.confusion.selected_cell is not None:
            return self.confusion.cell_text(*self.confusion.selected_cell)
        if self._class_filter is not None:
            label = self.confusion.labels[self._class_filter]
            return tr_n("{n:,} {label} image", "{n:,} {label} images", shown, label=label)
        if self.order.currentIndex() == 0:
            return tr_n("{n:,} mistake", "{n:,} mistakes", shown)
        return tr_n("{n:,} image", "{n:,} images", shown)

    # one image

    def _clear_image(self) -> None:
        self._row = None
        self.details.hide()
        self.view.show_image(render_thumbnail(Path(), 1), tr("Select an image to see its saliency map."))

    def _select_image(self, row: "Prediction") -> None:
        self._row = row
        self.prediction_label.setText(self.grid.images.result_text(row))
        self.loss_label.setText(
            tr("{file}: loss {loss:.3f}, true class {share}", file=row.path.name, loss=row.loss,
               share=format_percent(row.label_probability))
        )  # fmt: skip
        self.loss_label.setToolTip(str(row.path))
        self.details.show()
        self.view.show_image(render_thumbnail(row.path, 2 * THUMBNAIL_PIXELS))
        self._show_saliency()

    def _show_saliency(self) -> None:
        row, (_, kind, true) = self._row, _SALIENCY_MODES[self.saliency_mode.currentIndex()]
        self.banner.show_message("")
        if row is None or self._inference.run is None:
            return
        if kind is None:
            self.view.show_image(render_thumbnail(row.path, 2 * THUMBNAIL_PIXELS))
            return
        label = self.confusion.labels[row.label] if true else ""
        self._inference.submit(
            lambda session: session.saliency_map(session.names[0], row.path, kind, label),
            lambda saliency: self._saliency_ready(row, saliency),
            self._saliency_failed,
            "saliency",
        )

    def _saliency_ready(self, row: "Prediction", saliency: "SaliencyMap") -> None:
        if row is self._row and self.saliency_mode.currentIndex():
            self.view.show_saliency(saliency)

    def _saliency_failed(self, error: Exception) -> None:
        self.view.show_saliency(None)
        self.banner.show_message(error_message(error), "warn")

    def _request_try(self) -> None:
        if self._row is not None:
            self.try_requested.emit(self._row.path)

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return the selected view, cell, class, order, image and overlay."""
        return {
            "view": self.views.currentIndex(),
            "cell": self.confusion.selected_cell,
            "class": self._class_filter,
            "order": self.order.currentIndex(),
            "overlay": self.saliency_mode.currentIndex(),
            "image": self._row.path if self._row else None,
            "sizes": self.splitter.sizes(),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the tab that returned ``state``, with the same predictions."""
        self.view_switch.set_current(state.get("view", 0))
        self._show_figures(state.get("view", 0))
        self.order.setCurrentIndex(state.get("order", 0))
        self.saliency_mode.setCurrentIndex(state.get("overlay", 0))
        self.splitter.setSizes(state.get("sizes", []))
        self.confusion.select_cell(state.get("cell"))
        self._class_filter = state.get("class")
        self._filter()
        rows = self.grid.images.rows
        position = next((i for i, row in enumerate(rows) if row.path == state.get("image")), -1)
        if position >= 0:
            self.grid.setCurrentIndex(self.grid.images.index(position))
