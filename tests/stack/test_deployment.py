"""What `sam build` made is kept while nothing that it was made of has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.stack import deployment


def test_given_a_build_of_the_same_files_when_built_again_then_it_is_kept():
    deployment.build()
    template = deployment._BUILT / "template.json"
    before = template.stat().st_mtime_ns

    deployment.build()

    assert template.stat().st_mtime_ns == before
    layers = [
        resource["Properties"]["ContentUri"]
        for resource in json.loads(template.read_text())["Resources"].values()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    ]
    assert len(layers) == 2
    assert all(Path(layer).is_file() for layer in layers)


@pytest.mark.parametrize("change", ["content", "name", "new file", "fewer files"])
def test_given_another_input_then_its_digest_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str):
    monkeypatch.setattr(deployment, "ROOT", tmp_path)
    source = tmp_path / "layers"
    source.mkdir()
    (source / "one.py").write_text("1")
    (source / "two.py").write_text("2")
    before = deployment._digest([source])

    match change:
        case "content":
            (source / "one.py").write_text("3")
        case "name":
            (source / "one.py").rename(source / "other.py")
        case "new file":
            (source / "three.py").touch()
        case _:
            (source / "two.py").unlink()

    assert deployment._digest([source]) != before


def test_given_only_compiled_modules_more_then_the_digest_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deployment, "ROOT", tmp_path)
    (tmp_path / "one.py").write_text("1")
    before = deployment._digest([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "one.pyc").write_text("compiled")

    assert deployment._digest([tmp_path]) == before
