"""What happens to an image before the backbone sees it: presets and sliders, and real images through them."""

from typing import TYPE_CHECKING, get_args

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.core.recipe import Recipe, Transforms
from studio.data.transforms.augmentation_presets import MAGNITUDE_NAMES, preset_magnitudes
from studio.ui.i18n.language import tr
from studio.ui.pages.data.slider_field import SliderField
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.transform_preview import PREVIEW_ROWS, VARIANTS, Preview, choose_images
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import field_bounds, field_description, field_title
from studio.ui.style.theme import color
from studio.ui.widgets.components import Card, HBox, VBox, button, container, scroll_area, text_label
from studio.ui.widgets.fields import ChoiceField
from studio.ui.widgets.painting import small_font

if TYPE_CHECKING:
    from studio.data.transforms.preprocessing import Preprocessing

_FORM_WIDTH, _GAP, _HEAD = 300, 8, 24
_MIN_IMAGE_SIZE = 100
"""Rather than drawing images smaller than this, fewer rows of them are shown."""
_DEGREES = frozenset({"rotation", "shear"})
_COLUMNS = 2 + VARIANTS


class PreviewView(QWidget):
    """Rows of images: as they are, as validation and export see them, and as training does."""

    def __init__(self) -> None:
        super().__init__()
        self.preview = Preview()
        self.setMinimumSize(_COLUMNS * 60, 2 * 60 + _HEAD)
        self.setAccessibleName(tr("Preview of the changes on real images"))

    def show_preview(self, preview: Preview) -> None:
        """Show other rows."""
        self.preview = preview
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw headings and images as large as there is room."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        across = (self.width() - _GAP * (_COLUMNS + 1)) / _COLUMNS
        fitting = int((self.height() - _HEAD) // (min(across, _MIN_IMAGE_SIZE) + _GAP))
        rows = max(1, min(PREVIEW_ROWS, len(self.preview.rows), fitting))
        side = min(across, (self.height() - _HEAD) / rows - _GAP)
        self._draw_heads(painter, side)
        for number, row in enumerate(self.preview.rows[:rows]):
            top = _HEAD + number * (side + _GAP)
            for place, image in enumerate((row.original, row.preprocessed, *row.augmented)):
                self._draw(painter, QRectF(_column_left(place, side), top, side, side), image)

    def _draw_heads(self, painter: QPainter, side: float) -> None:
        painter.setFont(small_font())
        painter.setPen(color("muted"))
        heads = (
            (tr("As it is"), 0, 1),
            (tr("Validation, export"), 1, 1),
            (tr("Training, in four epochs"), 2, VARIANTS),
        )
        for words, place, columns in heads:
            area = QRect(round(_column_left(place, side)), 0, round(side * columns + _GAP * (columns - 1)), _HEAD - 4)
            cut = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), cut)

    def _draw(self, painter: QPainter, box: QRectF, image: QImage) -> None:
        painter.fillRect(box, color("sunken"))
        if not image.isNull():
            size = image.size().scaled(box.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
            corner = box.center() - QPointF(size.width() / 2, size.height() / 2)
            painter.drawImage(QRectF(corner, size.toSizeF()), image)


def _column_left(column: int, side: float) -> float:
    """Where a column begins: a wider gap parts what training does from the rest."""
    return column * (side + _GAP) + (_GAP if column > 1 else 0)


class TransformsTab(QWidget):
    """The settings at the left, what they do at the right."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._page = 0
        self._requested: object = None
        workspace.images.previews.rendered.connect(self._show_preview)
        self.preset = ChoiceField(get_args(Transforms.model_fields["augmentation"].annotation))
        self.preset.setAccessibleName(tr("Augmentation"))
        self.preset.edited.connect(self._choose_preset)
        self.sliders: dict[str, SliderField] = {}
        self.view, self.preprocessing_label = PreviewView(), text_label("", "caption", wrap=True)
        self.setLayout(HBox((self._build_form(), 0), (self._build_preview(), 1), gap=14))

    def _build_form(self) -> QWidget:
        column = VBox(gap=10, margins=(0, 0, 10, 0))
        for name in MAGNITUDE_NAMES:
            info = Transforms.model_fields[name]
            slider = SliderField(tr(field_title(name, info)), field_bounds(info, 0)[1], name in _DEGREES)
            slider.setToolTip(tr(field_description(info)))
            slider.edited.connect(lambda value, name=name: self._set_magnitude(name, value))
            self.sliders[name] = slider
            label = text_label(tr(field_title(name, info)), "field")
            label.setToolTip(tr(field_description(info)))
            column.addLayout(VBox(label, slider, gap=0))
        column.addStretch(1)
        head = HBox((text_label(tr("Augmentation"), "field"), 1), self.preset)
        card = Card(tr("Random changes to training images"), head, (scroll_area(container(column)), 1))
        card.setFixedWidth(_FORM_WIDTH)
        return card

    def _build_preview(self) -> QWidget:
        other = button(tr("Other images"), self.show_other_images, "refresh")
        return Card(tr("What the backbone sees"), self.preprocessing_label, (self.view, 1), heading_items=(other,))

    # acting

    def show_other_images(self) -> None:
        """Show other images, and other random changes."""
        self._page += 1
        self._request_preview()

    def _choose_preset(self, name: object) -> None:
        """Take a preset; the user's own begins with the amounts of the one before it."""
        now = self._workspace.recipe.data.transforms
        own = preset_magnitudes(now) if name == "custom" else {}
        self._edit(now.model_copy(update={"augmentation": name, **own}), tr("Change augmentation"))

    def _set_magnitude(self, name: str, value: object) -> None:
        now = self._workspace.recipe.data.transforms
        changed = now.model_copy(update={"augmentation": "custom", **preset_magnitudes(now), name: value})
        self._edit(changed, tr("Change {what}", what=tr(name)), f"data.transforms.{name}")

    def _edit(self, transforms: Transforms, step_text: str, merge: str = "") -> None:
        recipe = self._workspace.recipe
        data = recipe.data.model_copy(update={"transforms": transforms})
        self._workspace.document.edit(step_text, with_data(recipe, data), merge)

    # showing

    def show_recipe(self, recipe: Recipe) -> None:
        """Show the preset and its amounts."""
        self.preset.show_value(recipe.data.transforms.augmentation)
        for name, value in preset_magnitudes(recipe.data.transforms).items():
            self.sliders[name].show_value(value)
        self._request_preview()

    def show_scan(self, scan: ScanResult) -> None:
        """Preview the images that there are now."""
        self._request_preview()

    def showEvent(self, event: object) -> None:
        """Qt: make the preview now that it is seen."""
        self._request_preview()

    def _request_preview(self) -> None:
        """Ask for a preview where it is seen and would be another one."""
        summary, recipe = self._workspace.images.scan.summary, self._workspace.recipe
        if not (self.isVisible() and self._workspace.engine.ready and summary):
            return
        made = choose_images(summary, recipe.backbone, recipe.data.transforms, recipe.training.seed, self._page)
        if made != self._requested:
            self._requested = made
            self._workspace.images.previews.request_preview(made)

    def _show_preview(self, preview: Preview) -> None:
        self.preprocessing_label.setText(
            tr(preview.error) or (preprocessing_text(preview.preprocessing) if preview.preprocessing else "")
        )
        self.view.show_preview(preview)


def preprocessing_text(preprocessing: "Preprocessing") -> str:
    """In words what validation and export do to an image."""
    crops = {
        "center": tr(
            "the shorter edge scaled to {edge} pixels and the middle cut out", edge=min(preprocessing.resize_size)
        ),
        "squash": tr("squeezed to the size whatever the shape"),
        "border": tr(
            "the longer edge scaled to {edge} pixels and the rest filled", edge=max(preprocessing.resize_size)
        ),
    }
    height, width = preprocessing.size
    return tr(
        "Validation, prediction and export use {width} x {height} pixels, {crop}, {how}; normalised with mean {mean} "
        "and deviation {std}. Training does the same, then the changes.",
        width=width, height=height, crop=crops[preprocessing.crop_mode], how=preprocessing.interpolation,
        mean=_numbers(preprocessing.mean), std=_numbers(preprocessing.std),
    )  # fmt: skip


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
