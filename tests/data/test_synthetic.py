import numpy as np
import pytest
import torch

from limbeck.config import parse
from limbeck.data.recordings import Windowing
from limbeck.data.split import KFoldSubjects
from limbeck.data.synthetic import GRAVITY, MOTIONS, POSITIONS, Wearable
from limbeck.errors import UserError
from limbeck.tasks import IGNORE

SMALL = Wearable(subjects=3, activities=4, seconds=30)


def test_it_has_the_size_the_tasks_and_the_provenance_that_were_asked_for():
    reading = SMALL.read()
    assert [(t.name, t.labels) for t in reading.tasks] == [
        ("activity", ("lying", "sitting", "standing", "walking")),
        ("position", ("wrist", "ankle")),
    ]
    assert [(r.subject, r.session) for r in reading.recordings][:3] == [
        ("1", "1 wrist"),
        ("1", "1 ankle"),
        ("2", "2 wrist"),
    ]
    assert {r.signal.shape for r in reading.recordings} == {(4 * 30 * 50, 3)}
    assert {r.signal.dtype for r in reading.recordings} == {np.dtype(np.float32)}
    for made in reading.recordings:
        assert np.bincount(made.labels["activity"]).tolist() == [1500] * 4
    table = SMALL.load()
    assert table.shape("sensor") == (3, 100)
    assert set(table.meta["subject"]) == {"1", "2", "3"}


def test_the_same_seed_gives_the_same_bits_and_another_one_other_people():
    one, same, other = (w.read().recordings[0].signal for w in (SMALL, SMALL.changed(), SMALL.changed(seed=1)))
    assert np.array_equal(one, same)
    assert not np.allclose(one.mean(axis=0), other.mean(axis=0), atol=1e-3)


def test_a_subject_is_the_same_however_many_there_are():
    more = SMALL.changed(subjects=5, positions=("ankle", "chest", "wrist"))
    one = {(m.subject, m.position): m.signal for m in SMALL.simulate()}
    for made in more.simulate():
        if (made.subject, made.position) in one:
            assert np.array_equal(made.signal, one[made.subject, made.position])


def test_at_rest_it_feels_gravity_and_in_motion_its_cadence():
    for made in SMALL.changed(noise=0.1, positions=("ankle",), seconds=60.0).simulate():
        inner = np.convolve(np.diff(made.activity, prepend=-1) == 0, np.ones(101), mode="same") > 100.5
        still = made.signal[(made.activity == 0) & inner]
        assert np.linalg.norm(still, axis=1).mean() == pytest.approx(GRAVITY, abs=0.3)
        walking = made.signal[(made.activity == 3) & inner]
        assert np.linalg.norm(walking, axis=1).std() > 5 * np.linalg.norm(still, axis=1).std()
        start = int(np.flatnonzero((made.activity == 3) & inner)[0])
        part = made.signal[start : start + 500] - made.signal[start : start + 500].mean(axis=0)
        power = (np.abs(np.fft.rfft(part, 5000, axis=0)) ** 2).sum(axis=1)
        frequency, cadence = np.fft.rfftfreq(5000, 1 / 50), made.cadence[start : start + 500].mean()
        peaks = [power[np.abs(frequency - k * cadence) < 0.15].sum() for k in range(1, 5)]
        assert sum(peaks) > 0.5 * power.sum()


def test_the_asked_share_of_labels_is_missing_for_each_task_on_its_own():
    reading = SMALL.changed(subjects=40, missing=0.3, seconds=60.0, rate=10.0).read()
    lost = {t.name: np.concatenate([r.labels[t.name] == IGNORE for r in reading.recordings]) for t in reading.tasks}
    for values in lost.values():
        assert values.mean() == pytest.approx(0.3, abs=0.03)
    assert np.mean(lost["activity"] & lost["position"]) == pytest.approx(0.09, abs=0.02)
    truth = next(iter(SMALL.changed(missing=0.3).simulate())).activity
    assert (truth != IGNORE).all()


def test_a_shift_makes_another_domain_of_the_same_people():
    usual, far = (next(iter(SMALL.changed(shift=s).simulate())) for s in (0.0, 1.0))
    assert np.array_equal(usual.activity, far.activity)
    assert far.cadence.mean() == pytest.approx(0.85 * usual.cadence.mean(), rel=1e-4)
    rest = [m.signal[m.activity < 2] - 0.5 * s for m, s in ((usual, 0), (far, 1))]
    lengths = [np.linalg.norm(r, axis=1).mean() for r in rest]
    assert lengths[1] / lengths[0] == pytest.approx(1.2, abs=0.02)
    turn = np.degrees(np.arccos(np.vdot(*[r.mean(axis=0) / np.linalg.norm(r.mean(axis=0)) for r in rest])))
    assert 5 < turn <= 41


def test_other_people_are_recognised_well_but_not_perfectly():
    from sklearn.ensemble import ExtraTreesClassifier

    table = Wearable(rate=20, seconds=40, windows=Windowing(length=60, stride=60)).load()
    split = KFoldSubjects(folds=3).split(table)

    def features(part):
        x = part.rows(torch.arange(len(part))).inputs["sensor"].numpy()
        return np.concatenate([x.mean(axis=2), x.std(axis=2), *np.percentile(x, (10, 50, 90), axis=2)], axis=1)

    for task, low, high in (("activity", 0.55, 0.92), ("position", 0.55, 0.95)):
        trees = ExtraTreesClassifier(100, random_state=0, min_samples_leaf=2)
        trees.fit(features(split.train), split.train.targets[task].numpy())
        assert low < trees.score(features(split.test), split.test.targets[task].numpy()) < high


def test_every_activity_and_position_can_be_had_at_any_rate():
    made = Wearable(subjects=1, activities=len(MOTIONS), positions=POSITIONS, seconds=3, rate=12.5).read()
    assert all(np.isfinite(r.signal).all() and r.rate == 12.5 for r in made.recordings)
    assert made.tasks[1].labels == POSITIONS
    assert [t.name for t in Wearable(positions=("wrist",), subjects=1).read().tasks] == ["activity"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"positions": "wrist,ancle"}, "no position 'ancle'; did you mean 'ankle'"),
        ({"activities": "13"}, "less than or equal to 12"),
        ({"missing": "1"}, "less than 1"),
    ],
)
def test_what_it_cannot_simulate_is_refused(values, said):
    with pytest.raises(UserError, match=said):
        parse(Wearable, values)
