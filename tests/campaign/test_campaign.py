"""The campaign's short form, two minutes; `make campaign` runs the whole of it. And the judge is judged itself."""

import random
from itertools import chain
from pathlib import Path

import pytest
from campaign import kills, two_writers
from campaign.__main__ import MODULES
from campaign.calls import Answer, forked
from campaign.judge import Case, judge
from campaign.record import cases_part, entered, failed, kills_part
from campaign.world import World, scenes_words, values

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
    kills.killed_often(scenes_words(run, overrides=kills.OVERRIDES), run, 2, 8.0, random.Random(1), found := [])
    assert 0 < len(found) <= 2
    assert kills.difference(run, values(whole)) == ""


@pytest.mark.slow
def test_two_processes_that_prepare_one_run(tmp_path):
    assert two_writers.two_runs(tmp_path, "data") == ""


def test_there_are_as_many_cases_as_are_claimed():
    names = [f"{case.kind}: {case.name}" for case in chain(*(module.cases() for module in MODULES))]
    assert len(names) >= 750 and len(set(names)) == len(names)


# --- the record ----------------------------------------------------------------------------------------------------

ORIGIN = {"commit": "a", "machine": "m", "python": "3", "seconds": 9, "utc": "2026"}


def some(*names: str) -> list[Case]:
    return [Case(name.split()[0], name, lambda place: []) for name in names]


def test_a_repeat_tries_what_failed_and_what_is_new_and_totals_are_right():
    asked: list[str] = []

    def outcome(**found):
        return lambda case: asked.append(case.name) or found[case.name.replace(" ", "_")]

    whole = cases_part(some("x 1", "x 2", "y 1"), outcome(x_1="refused", x_2="hang", y_1="silent"))
    first = entered(whole, ORIGIN)
    assert first["kinds"] == {"x": {"refused": 1, "hang": 1}, "y": {"silent": 1}} and "again" not in first
    assert failed(first) == ["x: x 2: hang", "y: y 1: silent"]
    asked.clear()
    again = cases_part(some("x 1", "x 2", "z 1"), outcome(x_2="mended", z_1="lock"), first)
    assert asked == ["x 2", "z 1"]  # what was well is not tried, what is no case any more is gone
    second = entered(again, ORIGIN | {"commit": "b", "utc": "2027"}, first)
    assert second["kinds"] == {"x": {"refused": 1, "mended": 1}, "z": {"lock": 1}} and second["commit"] == "a"
    third = entered(cases_part(some("x 1", "x 2", "z 1"), outcome(z_1="healed"), second), ORIGIN, second)
    assert [one["cases"] for one in third["again"]] == [2, 1] and third["again"][0]["commit"] == "b"
    assert failed(third) == [] and sum(sum(kind.values()) for kind in third["kinds"].values()) == 3
    assert entered(cases_part(some("x 1"), outcome(), third), ORIGIN, third)["again"] == third["again"]


def test_a_repeat_of_kills_keeps_what_was_well():
    def broken() -> str:
        raise TimeoutError("too long")

    killed, wrong = [{"run": 0}, {"run": 1}], [{"run": 1, "command": "run", "fault": "a.png differs"}]
    trials = {"one": lambda: "", "two": lambda: "a traceback", "three": broken, "no disk here": lambda: None}
    first = entered(kills_part(killed, wrong, trials), ORIGIN)
    assert first["others"] == {"one": True, "two": False, "three": False} and first["differ"] == 1
    faults = ["run: a.png differs", "two: a traceback", "three: TimeoutError: too long"]
    assert failed(first) == faults
    trials = {"one": broken, "two": lambda: "", "three": lambda: ""}
    second = entered(kills_part(killed, [], trials, first), ORIGIN, first)
    assert failed(second) == [] and all(second["others"].values()) and second["differ"] == 0
    assert [one["cases"] for one in second["again"]] == [3]


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
    assert outcome(told, Answer(0, "", ""), check=lambda place: "wrong", expect="accepted") == "silent"


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
    assert outcome(told, writes("run/.lock", "x"), writes=("run",)) == "lock"


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


def test_who_is_asked_for_settings_names_them(told):
    told.expected["run"] = {}
    asked = []
    told.call = lambda words, **_: asked.append(list(words)) or told.steps.pop(0)
    answers = [refusal("which? Name that: --preset tiny, and --overrides."), Answer(0, "", "")]
    assert outcome(told, *answers, expect="same", again=("--preset", "tiny")) == "mended"
    assert asked == [["run"], ["run", "--preset", "tiny"]]


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
