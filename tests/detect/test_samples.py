"""What is said about small repositories, traps included."""

from __future__ import annotations

import json
import random

import pytest

from bot.detect import Detection, Repository, detect
from tests.detect.samples import ALL, Sample


@pytest.mark.parametrize("name", ALL)
def test_says_what_it_is(name: str) -> None:
    sample = ALL[name]
    found = detect(Repository.from_files(sample.files), sample.settings)
    assert {key: getattr(found, key) for key in sample.expect} == sample.expect, found.warnings


@pytest.mark.parametrize("name", ALL)
def test_names_its_evidence_in_any_order_and_through_json(name: str) -> None:
    sample = ALL[name]
    found = _detect(sample)
    _check_evidence(sample, found)
    assert Detection.from_json(json.loads(json.dumps(found.to_json()))) == found
    paths = list(sample.files)
    random.Random(7).shuffle(paths)
    shuffled = Sample({path: sample.files[path] for path in paths}, settings=sample.settings)
    assert _detect(shuffled) == found


def _check_evidence(sample: Sample, found: Detection) -> None:
    if found.stack == "none":
        assert found.warnings, "nothing was found, and not a word why"
        return
    assert found.evidence
    assert 0 < found.confidence <= 100
    for item in found.evidence:
        assert item.says
        assert item.path in sample.files or item.path == "settings", item
    assert found.candidates[0].confidence >= found.candidates[-1].confidence


def _detect(sample: Sample) -> Detection:
    return detect(Repository.from_files(sample.files), sample.settings)
