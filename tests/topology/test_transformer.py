"""The scikit-learn step gives the images of the engine and is what pipelines and searches expect."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from limbeck.errors import UserError
from limbeck.topology import PersistenceImage, PersistenceImages, persistence


def windows(count: int = 40) -> np.ndarray:
    """Every other window has a second valley."""
    x = np.sin(np.arange(50) / 8)[None].repeat(count, 0) * 0.5
    x[1::2, 20:25] -= 0.4
    return x[:, None] + 0.001 * np.random.default_rng(0).normal(size=(count, 2, 50))


def test_images_are_those_of_the_engine() -> None:
    x = windows()
    made = PersistenceImages(resolution=16, sigma=0.05, filtration="both").fit_transform(x)
    np.testing.assert_array_equal(made, PersistenceImage(resolution=16, sigma=0.05).render(persistence(x, "both")))
    assert made.shape == (40, 4, 16, 16)


def test_it_is_cloned_pickled_and_told_apart_by_its_parameters() -> None:
    step = PersistenceImages(sigma=0.05, layout="exact", top=1.0)
    assert clone(step).get_params() == step.get_params()
    assert set(PersistenceImage.model_fields) <= set(step.get_params())
    fitted = step.fit(windows())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(windows()), fitted.transform(windows()))


def test_it_is_searched_over_in_a_pipeline() -> None:
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1))
    pipeline = make_pipeline(PersistenceImages(resolution=8), flat, LogisticRegression())
    search = GridSearchCV(pipeline, {"persistenceimages__sigma": [0.05, 0.1]}, cv=2)
    assert search.fit(windows(), np.arange(40) % 2).best_score_ == 1


def test_mistakes_are_told_when_it_is_fitted() -> None:
    with pytest.raises(UserError, match="sigma"):
        PersistenceImages(sigma=-1).fit(windows())
    with pytest.raises(NotFittedError):
        PersistenceImages().transform(windows())
    with pytest.raises(UserError, match="1 channels of diagrams; 2 were fitted"):
        PersistenceImages().fit(windows()).transform(windows()[:, :1])
