"""The Augmentation tab: presets and sliders, with a preview on real images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.core.messages import N_
from studio.core.recipe import Recipe, Transforms
from studio.data.transforms.augmentation_presets import MAGNITUDE_NAMES, preset_magnitudes
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.data.slider_field import SliderField
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.transform_preview import PREVIEW_ROWS, VARIANTS, Preview, choose_images
from studio.ui.services.workspace import Workspace
from studio.ui.shared.choice_labels import choice_label
from studio.ui.shared.config_form import field_bounds, field_description, field_title
from studio.ui.style.theme import color
from studio.ui.widgets.components import Card, HBox, VBox, button, container, scroll_area, text_label
from studio.ui.widgets.fields import ChoiceField
from studio.ui.widgets.painting import small_font

if TYPE_CHECKING:
    from studio.data.transforms.preprocessing import Preprocessing

_FORM_WIDTH, _GAP, _HEAD = 300, 8, 24
_MIN_IMAGE_SIZE = 100
"""Images are not drawn smaller than this; fewer rows are shown instead."""
_DEGREES = frozenset({"rotation", "shear"})
_COLUMNS = 2 + VARIANTS


class PreviewView(QWidget):
    """Rows of images: originals, and as validation, export and training use them."""

    def __init__(self) -> None:
        super().__init__()
        self.preview = Preview()
        self.setMinimumSize(_COLUMNS * 60, 2 * 60 + _HEAD)
        self.setAccessibleName(tr("Preview of the transforms"))

    def show_preview(self, preview: Preview) -> None:
        """Show the rows of ``preview``."""
        self.preview = preview
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw headings and images, as large as fits."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        across = (self.width() - _GAP * (_COLUMNS + 1)) / _COLUMNS
        fitting = int((self.height() - _HEAD) // (min(across, _MIN_IMAGE_SIZE) + _GAP))
        rows = max(1, min(PREVIEW_ROWS, len(self.preview.rows), fitting))
        side = min(across, (self.height() - _HEAD) / rows - _GAP)
        self._draw_heads(painter, side)
        for number, row in enumerate(self.preview.rows[:rows]):
            top = _HEAD + number * (side + _GAP)
            for column, image in enumerate((row.original, row.preprocessed, *row.augmented)):
                self._draw(painter, QRectF(_column_left(column, side), top, side, side), image)

    def _draw_heads(self, painter: QPainter, side: float) -> None:
        painter.setFont(small_font())
        painter.setPen(color("muted"))
        heads = (
            (tr("Original"), 0, 1),
            (tr("Validation, export"), 1, 1),
            (tr("Training, four epochs"), 2, VARIANTS),
        )
        for title, first, columns in heads:
            width = round(side * columns + _GAP * (columns - 1))
            area = QRect(round(_column_left(first, side)), 0, width, _HEAD - 4)
            elided = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), elided)

    def _draw(self, painter: QPainter, box: QRectF, image: QImage) -> None:
        painter.fillRect(box, color("sunken"))
        if not image.isNull():
            size = image.size().scaled(box.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
            corner = box.center() - QPointF(size.width() / 2, size.height() / 2)
            painter.drawImage(QRectF(corner, size.toSizeF()), image)


def _column_left(column: int, side: float) -> float:
    """Return the left edge of a column in pixels.

    A wider gap precedes the training columns.
    """
    return column * (side + _GAP) + (_GAP if column > 1 else 0)


class TransformsTab(QWidget):
    """The settings at the left, their effect at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._page = 0
        self._requested: object = None
        workspace.images.previews.rendered.connect(self._show_preview)
        self.preset = ChoiceField(get_args(Transforms.model_fields["augmentation"].annotation), choice_label)
        self.preset.setAccessibleName(tr("Augmentation"))
        self.preset.edited.connect(self._choose_preset)
        self.sliders: dict[str, SliderField] = {}
        self.view, self.preprocessing_label = PreviewView(), text_label("", "caption", wrap=True)
        self.setLayout(HBox((self._build_form(), 0), (self._build_preview(), 1), gap=14))

    def _build_form(self) -> QWidget:
        column = VBox(gap=10, margins=(0, 0, 10, 0))
        for name in MAGNITUDE_NAMES:
            info = Transforms.model_fields[name]
            title, description = field_title(name, info), field_description(info)
            slider = SliderField(title, field_bounds(info, 0)[1], name in _DEGREES)
            slider.setToolTip(description)
            slider.edited.connect(lambda value, name=name: self._set_magnitude(name, value))
            self.sliders[name] = slider
            label = text_label(title, "field")
            label.setToolTip(description)
            column.addLayout(VBox(label, slider, gap=0))
        column.addStretch(1)
        head = HBox((text_label(tr("Augmentation"), "field"), 1), self.preset)
        card = Card(tr("Augmentation of training images"), head, (scroll_area(container(column)), 1))
        card.setFixedWidth(_FORM_WIDTH)
        return card

    def _build_preview(self) -> QWidget:
        other = button(tr("Other images"), self.show_other_images, "refresh")
        return Card(tr("Input of the backbone"), self.preprocessing_label, (self.view, 1), heading_items=(other,))

    # edits

    def show_other_images(self) -> None:
        """Show other images with other random augmentations."""
        self._page += 1
        self._request_preview()

    def _choose_preset(self, name: object) -> None:
        """Use a preset; "custom" begins with the magnitudes of the preset before it."""
        now = self._workspace.recipe.data.transforms
        own = preset_magnitudes(now) if name == "custom" else {}
        self._edit(now.model_copy(update={"augmentation": name, **own}), N_("Change augmentation"))

    def _set_magnitude(self, name: str, value: object) -> None:
        now = self._workspace.recipe.data.transforms
        changed = now.model_copy(update={"augmentation": "custom", **preset_magnitudes(now), name: value})
        title = Transforms.model_fields[name].title or name
        self._edit(changed, N_("Change {what}", what=title), f"data.transforms.{name}")

    def _edit(self, transforms: Transforms, step_text: str, merge: str = "") -> None:
        recipe = self._workspace.recipe
        data = recipe.data.model_copy(update={"transforms": transforms})
        self._workspace.document.edit(step_text, with_data(recipe, data), merge)

    # showing

    def show_recipe(self, recipe: Recipe) -> None:
        """Show the preset and its magnitudes."""
        self.preset.show_value(recipe.data.transforms.augmentation)
        for name, value in preset_magnitudes(recipe.data.transforms).items():
            self.sliders[name].show_value(value)
        self._request_preview()

    def show_scan(self, scan: ScanResult) -> None:
        """Preview the images of ``scan``."""
        self._request_preview()

    def view_state(self) -> dict[str, Any]:
        """Return the page of images that the preview shows."""
        return {"page": self._page}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self._page = state.get("page", 0)
        self._request_preview()

    def showEvent(self, event: object) -> None:
        """Qt: request the preview when it becomes visible."""
        self._request_preview()

    def _request_preview(self) -> None:
        """Request a preview if it is visible and would differ."""
        summary, recipe = self._workspace.images.scan.summary, self._workspace.recipe
        if not (self.isVisible() and self._workspace.engine.ready and summary):
            return
        request = choose_images(summary, recipe.backbone, recipe.data.transforms, recipe.training.seed, self._page)
        if request != self._requested:
            self._requested = request
            self._workspace.images.previews.request_preview(request)

    def _show_preview(self, preview: Preview) -> None:
        text = preprocessing_text(preview.preprocessing) if preview.preprocessing else ""
        self.preprocessing_label.setText(localized(preview.error) or text)
        self.view.show_preview(preview)


def preprocessing_text(preprocessing: "Preprocessing") -> str:
    """Return a sentence on the preprocessing of validation and export."""
    height, width = preprocessing.size
    values = {
        "width": width,
        "height": height,
        "interpolation": preprocessing.interpolation,
        "mean": _numbers(preprocessing.mean),
        "std": _numbers(preprocessing.std),
    }
    if preprocessing.crop_mode == "squash":
        return tr(
            "Validation, prediction and export: resized to {width} × {height} pixels without keeping the aspect ratio "
            "({interpolation}), normalized with mean {mean} and std {std}. Training adds the augmentation.",
            **values,
        )
    if preprocessing.crop_mode == "border":
        return tr(
            "Validation, prediction and export: longer edge scaled to {edge} pixels, padded to {width} × {height} "
            "pixels ({interpolation}), normalized with mean {mean} and std {std}. Training adds the augmentation.",
            edge=max(preprocessing.resize_size),
            **values,
        )
    return tr(
        "Validation, prediction and export: shorter edge scaled to {edge} pixels, center crop of {width} × {height} "
        "pixels ({interpolation}), normalized with mean {mean} and std {std}. Training adds the augmentation.",
        edge=min(preprocessing.resize_size),
        **values,
    )


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
