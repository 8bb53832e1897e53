"""The tables of runs and of class metrics over plain rows."""

from PySide6.QtCore import QModelIndex, Qt

from studio.core.run import Run
from studio.ui.pages.results.class_metrics_model import ClassMetricsModel
from studio.ui.pages.train.run_model import RunModel
from studio.ui.services.trainer import RunRow


def test_runs_are_a_table_with_state_and_accuracy(qapp, check_model, tmp_path):
    model = RunModel()
    check_model(model)
    row = RunRow(Run(tmp_path / "one"), "one", "completed", "starter", "lora", 0.987, 10, 10)
    model.show_rows([row])
    assert [model.index(0, c).data() for c in range(6)] == ["one", "completed", "100 %", "starter", "lora", "98.7 %"]
    assert model.row_of("one") == 0
    model.show_rows([])
    assert model.rowCount() == 0


def test_classes_are_a_table(qapp, check_model):
    from studio.training.metrics import ClassMetrics

    classes = ClassMetricsModel()
    check_model(classes)
    classes.show_rows([ClassMetrics("cat", 3, 1.0, 0.5, 0.6667)])
    assert [classes.index(0, c).data() for c in range(5)] == ["cat", "3", "50.0 %", "100.0 %", "0.667"]
    assert classes.rowCount(classes.index(0, 0)) == 0
    assert classes.headerData(0, Qt.Orientation.Horizontal, Qt.ItemDataRole.DisplayRole) == "Class"
    assert QModelIndex().data() is None
