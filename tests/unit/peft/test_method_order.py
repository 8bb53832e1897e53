"""The display order of the methods."""

from studio.peft.contract import FAMILIES, METHODS, methods_by_family


def test_methods_stand_by_family_and_lora_comes_first() -> None:
    families = [method.family for method in methods_by_family()]
    assert methods_by_family()[0].name == "lora"
    assert list(dict.fromkeys(families)) == list(FAMILIES)
    assert families == sorted(families, key=FAMILIES.index)
    assert {m.name for m in methods_by_family()} == {m.name for m in METHODS}
