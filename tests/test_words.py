"""What samples are called, and lists that are not too long."""

from limbeck.words import LISTED, cards, counted, listed, samples, sizes, subjects


def test_samples_are_called_by_what_they_are() -> None:
    assert samples({"modality": "image"}) == "images"
    assert samples({"modality": "sensor"}) == samples({}) == "windows"
    assert samples({"parts": [{"modality": "image"}, {"modality": "image"}]}) == "images"
    assert samples({"parts": [{"modality": "image"}, {"modality": "sensor"}]}) == "samples"


def test_one_is_told_as_one_and_thousands_with_commas() -> None:
    assert counted(1, "images") == "1 image"
    assert counted(9482, "subjects") == "9,482 subjects"


def test_few_names_are_listed_and_many_are_counted() -> None:
    assert listed(["a", "b"], "subjects") == "a, b"
    assert listed([str(i) for i in range(LISTED + 1)], "subjects") == f"{LISTED + 1} subjects"


def test_subjects_of_a_part_are_counted_whether_they_are_named_or_not() -> None:
    assert subjects({"windows": 9, "subjects": ["a", "b"]}) == 2
    assert subjects({"windows": 9, "subjects": [], "subjects in all": 7200}) == 7200


def test_joined_sets_have_their_own_cards_and_sizes() -> None:
    cell = {"labelled": 3, "generated": 2, "missing": 1}
    card = {"name": "a + b", "parts": [{"name": "a"}, {"name": "a"}], "cells": {"a 1": {"x": cell}, "a 2": {"x": cell}}}
    assert sizes(card) == {"a 1": 6, "a 2": 6}
    assert [of for of, _ in cards(card)] == ["", "a 1: ", "a 2: "]
    assert list(cards({"name": "a"})) == [("", {"name": "a"})]
