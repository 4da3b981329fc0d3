"""Documents: where a fault stands, and how a value is quoted."""

from __future__ import annotations

from components.config.documents import Document, Problem, located, shown


def test_a_fault_names_the_file_and_the_path() -> None:
    document = Document(name="a.yaml", content={})
    assert document.fault("risk.delta", "1", "2").where == "a.yaml: risk.delta"
    assert document.fault("", "1", "2").where == "a.yaml"


def test_a_fault_says_who_put_the_value_there() -> None:
    document = Document(name="a.yaml", content={}, overridden={"risk.delta": "--set risk.delta"})
    assert document.fault("risk.delta", "1", "2").where == "a.yaml: risk.delta (from --set risk.delta)"
    assert document.fault("risk.delta.warning", "1", "2").where.endswith("(from --set risk.delta)")
    assert document.fault("risk.deltas", "1", "2").where == "a.yaml: risk.deltas"


def test_problems_become_faults_of_their_file() -> None:
    (fault,) = located(Document(name="a.yaml", content={}), [Problem("mode", "'x'", "a mode", "y")])
    assert str(fault) == "a.yaml: mode: found 'x', expected a mode (did you mean 'y'?)"


def test_values_are_quoted_in_the_words_of_yaml_on_one_short_line() -> None:
    assert [shown(value) for value in (None, True, False, "a", 1.5)] == ["null", "true", "false", "'a'", "1.5"]
    long = shown("x" * 200)
    assert len(long) == 80
    assert long.endswith("…")
