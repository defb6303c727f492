"""The campaign's short form, two minutes; `make campaign` runs the whole of it. And the judge is judged itself."""

import random
from itertools import chain
from pathlib import Path

import pytest
from campaign import bad_data, bad_settings, damaged_files, kills, photographs, releases, room, two_writers
from campaign.calls import Answer, forked
from campaign.judge import Case, judge
from campaign.world import World, scenes_words, values

MODULES = (damaged_files, bad_settings, bad_data, photographs, releases, room)
CASES = list(chain(*(module.sampled() for module in MODULES)))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    """Two finished tiny runs and photographs, shared: each case works on copies."""
    return World(tmp_path_factory.mktemp("campaign")).make()


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.kind}: {case.name}".encode("ascii", "replace").decode()
)
def test_a_bad_input_ends_in_a_message_or_in_the_right_values(world, case):
    verdict = judge(case, world)
    assert verdict.good, f"{verdict.outcome}: {verdict.note}"


@pytest.mark.slow
def test_a_killed_run_ends_like_an_undisturbed_one(world, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "killed/run"
    run.parent.mkdir()
    assert world.call(scenes_words(whole, overrides=kills.OVERRIDES)).code == 0
    kills.killed_often(scenes_words(run, overrides=kills.OVERRIDES), run, 2, 8.0, random.Random(1))
    assert kills.difference(run, values(whole)) == ""


@pytest.mark.slow
def test_two_processes_that_prepare_one_run(tmp_path):
    assert two_writers.two_runs(tmp_path, "data") == ""


def test_there_are_as_many_cases_as_are_claimed():
    names = [f"{case.kind}: {case.name}" for case in chain(*(module.cases() for module in MODULES))]
    assert len(names) >= 750 and len(set(names)) == len(names)


# --- the judge -----------------------------------------------------------------------------------------------------


class Told(World):
    """A world whose commands do and say what a test wants."""

    steps: list

    def call(self, words, **limits):
        step = self.steps.pop(0)
        return step(self.place) if callable(step) else step


@pytest.fixture
def told(tmp_path) -> Told:
    world = Told(tmp_path, {"run": {"a.png": "x"}})
    (world.store / "run").mkdir(parents=True)
    (world.store / "run/kept.txt").write_text("good")
    (world.store / "canary.txt").write_text("not yours")
    return world


def outcome(world: Told, *steps, **named) -> str:
    world.steps = list(steps)
    return judge(Case("kind", "name", lambda place: ["run"], needs=("run",), **named), world).outcome


def refusal(text: str) -> Answer:
    return Answer(2, "", f"error: {text}")


def test_what_the_judge_lets_pass(told):
    assert outcome(told, refusal("wrong")) == "refused"
    assert outcome(told, Answer(0, "", ""), expect="accepted") == "accepted"


def test_what_the_judge_calls_a_failure(told):
    assert outcome(told, Answer(0, "", "")) == "silent"
    assert outcome(told, Answer(None, "", "")) == "hang"
    assert outcome(told, Answer(-11, "", "")) == "signal"
    assert outcome(told, Answer(2, "", "nothing")) == "no message"
    assert outcome(told, Answer(1, "", "Traceback (most recent call last):")) == "traceback"
    assert outcome(told, refusal("wrong"), expect="accepted") == "wrongly refused"
    assert outcome(told, refusal("wrong"), says=("right",)) == "unclear"
    assert outcome(told, refusal("wrong"), expect="same") == "advice"
    assert outcome(told, *[refusal("wrong. Give the same command again.")] * 5, expect="same") == "advice"
    assert outcome(told, Answer(0, "", ""), expect="same") == "silent"  # a.png is not there


def test_the_judge_looks_at_the_files(told):
    def writes(name: str, text: str | None):
        def step(place: Path) -> Answer:
            (place / name).unlink() if text is None else (place / name).write_text(text)
            return refusal("wrong")

        return step

    assert outcome(told, writes("beside.txt", "x")) == "outside"
    assert outcome(told, writes("canary.txt", "x"), writes=("run",)) == "outside"
    assert outcome(told, writes("run/new.txt", "x"), writes=("run",)) == "refused"
    assert outcome(told, writes("run/kept.txt", None), writes=("run",)) == "lost"


def test_advice_is_followed(told):
    told.expected["run"] = {}
    path = told.place / "run/kept.txt"
    assert (
        outcome(told, refusal(f"{path} is bad. Delete it to train again."), Answer(0, "", ""), expect="same")
        == "mended"
    )
    assert not path.exists()
    words = f"cannot read {path}. Delete {told.place / 'run'} to make it again."
    assert outcome(told, refusal(words), Answer(0, "", ""), expect="same") == "mended"
    assert not path.parent.exists()


def test_a_call_in_a_process_of_its_own(tmp_path):
    def crash() -> int:
        raise ValueError("not for people")

    def fill() -> int:
        (tmp_path / "big").write_bytes(b"x" * 9999)
        return 0

    assert forked(lambda: 0).code == 0
    assert forked(crash).fault == "traceback"
    assert "File too large" in forked(fill, file_size=4096).err
    assert forked(lambda: [None for _ in iter(int, 1)] and 0, patience=0.2).fault == "hang"
