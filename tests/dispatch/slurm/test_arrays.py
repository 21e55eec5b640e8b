"""Steps into arrays: each once, below its own parents, in few arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from simclr_spec.dispatch.slurm.arrays import After, Array, Live, Wanted, arrays, chains
from simclr_spec.language.runner import Request, Slurm
from simclr_spec.plan import Step, compile

ONE, OTHER = Request(), Request(nodes=2)


def step(name: str, kind: str, *parents: str, request: Request = ONE, live: tuple[str, ...] = ()) -> Wanted:
    return Wanted(fingerprint=name, kind=kind, request=request, parents=parents, live=live)


def of_plan(steps: Iterable[Step], runner: Slurm) -> list[Wanted]:
    return [
        Wanted(
            fingerprint=step.fingerprint,
            kind=step.kind,
            request=runner.request(step.coordinates),
            parents=tuple(step.needs.values()),
        )
        for step in steps
    ]


def shape(found: Sequence[Array]) -> list[tuple[str, str, list[str]]]:
    """Kind, indices, and what each waits for, with arrays by their place in the list."""
    place = {array: str(number) for number, array in enumerate(found)}
    return [(array.kind, array.indices, [after.text(place.__getitem__) for after in array.after]) for array in found]


def waits_for(after: After, index: int) -> str:
    """Fingerprint of the parent, or the job, that this dependency means for an element."""
    if isinstance(after.parent, Live):
        return after.parent.job
    where = index if after.index is None else after.index
    assert (after.kind == "aftercorr") == (after.index is None)
    return str(after.parent.elements[where].fingerprint)


def test_table_1_is_six_submissions() -> None:
    found = shape(arrays(of_plan(compile(["table1"]).steps, Slurm()), 1001))
    aligned = Counter((kind, indices, *after) for kind, indices, after in found)
    assert aligned == {
        ("pretrain", "0-12"): 1,
        ("supervised", "0-12"): 1,
        ("linear_eval", "0-12", "aftercorr:0"): 1,
        ("finetune", "0-12", "aftercorr:0"): 3,
    }


def test_a_student_with_two_parents_has_the_index_of_both() -> None:
    chain = [step(f"{kind}{n}", kind, *below) for n in range(3) for kind, below in (
        ("pretrain", ()), ("finetune", (f"pretrain{n}",)), ("distill", (f"finetune{n}", f"pretrain{n}")))]  # fmt: skip
    assert shape(arrays(chain, 1001)) == [
        ("pretrain", "0-2", []),
        ("finetune", "0-2", ["aftercorr:0"]),
        ("distill", "0-2", ["aftercorr:1", "aftercorr:0"]),
    ]


def test_students_of_one_teacher_wait_for_its_job() -> None:
    taught = [step("teacher", "finetune"), *(step(f"student{n}", "distill", "teacher") for n in range(3))]
    assert shape(arrays(taught, 1001)) == [("finetune", "0", []), ("distill", "0-2", ["afterok:0_0"])]


def test_arrays_are_split_below_the_largest_index_and_children_follow() -> None:
    below = [step(f"child{n}", "finetune", f"parent{n}") for n in range(7)]
    found = arrays([*(step(f"parent{n}", "pretrain") for n in range(7)), *below], 3)
    assert shape(found) == [
        ("pretrain", "0-2", []),
        ("pretrain", "0-2", []),
        ("pretrain", "0", []),
        ("finetune", "0-2", ["aftercorr:0"]),
        ("finetune", "0-2", ["aftercorr:1"]),
        ("finetune", "0", ["aftercorr:2"]),
    ]


def test_other_resources_are_another_array_and_holes_stay() -> None:
    wanted = [step(f"p{n}", "pretrain") for n in range(4)]
    wanted += [step(f"c{n}", "finetune", f"p{n}", request=OTHER if n == 1 else ONE) for n in (0, 1, 2, 3)]
    assert shape(arrays(wanted, 9))[1:] == [("finetune", "0,2-3", ["aftercorr:0"]), ("finetune", "1", ["aftercorr:0"])]


def test_what_another_submission_queued_is_waited_for_by_its_job() -> None:
    found = arrays([step("a", "finetune", live=("77_0",)), step("b", "finetune", live=("77_1",))], 9)
    assert shape(found) == [("finetune", "0", ["afterok:77_0"]), ("finetune", "0", ["afterok:77_1"])]


def test_chains_put_a_step_behind_what_it_completes() -> None:
    wanted = [step("p0", "pretrain"), step("p1", "pretrain"), step("f0", "finetune", "p0"), step("f1", "finetune", "p1")]
    wanted += [step("d", "distill", "f0", "p1"), step("s", "supervised")]
    assert [found.fingerprint for found in chains(wanted)] == ["p0", "f0", "p1", "f1", "d", "s"]


@st.composite
def plans(draw: st.DrawFn) -> list[Wanted]:
    """Any acyclic graph of few kinds and resources."""
    found: list[Wanted] = []
    for number in range(draw(st.integers(0, 24))):
        names = [above.fingerprint for above in found]
        parents = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
        kind, request = draw(st.sampled_from("abc")), draw(st.sampled_from([ONE, OTHER]))
        live = draw(st.sampled_from([(), (), ("77_1",)]))
        found.append(step(str(number), kind, *parents, request=request, live=live))
    return found


@settings(max_examples=300, deadline=None)
@given(plans(), st.integers(1, 6), st.data())
def test_every_step_is_in_one_array_and_waits_for_its_own_parents(
    wanted: list[Wanted], largest: int, data: st.DataObject
) -> None:
    """However the plan is cut into slices that are submitted one after another."""
    ordered = chains(wanted)
    assert Counter(step.fingerprint for step in ordered) == Counter(step.fingerprint for step in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ordered)), max_size=3)))
    found: list[Array] = []
    for begin, end in zip([0, *cuts], [*cuts, len(ordered)], strict=True):
        submitted = {name: place for array in found for name, place in array.places.items()}
        found += arrays(ordered[begin:end], largest, submitted)
    elements = [step for array in found for step in array.elements.values()]
    assert Counter(step.fingerprint for step in elements) == Counter(step.fingerprint for step in wanted)
    for number, array in enumerate(found):
        assert all(isinstance(after.parent, Live) or after.parent in found[:number] for after in array.after)
        assert array.elements
        for index, step in array.elements.items():
            assert 0 <= index < largest
            assert (step.kind, step.request) == (array.kind, array.request)
            assert sorted(waits_for(after, index) for after in array.after) == sorted((*step.parents, *step.live))
