"""Errors that a user can mend are one line, and name the nearest known word."""

from limbeck.errors import UserError, unknown


def test_an_unknown_name_is_repeated_with_the_nearest_known_one_and_all_of_them() -> None:
    said = str(unknown("recipe", "smoth-distill", ["smooth-distill", "joint-distill"]))
    assert "'smoth-distill'" in said
    assert "did you mean 'smooth-distill'" in said
    assert "joint-distill, smooth-distill" in said
    assert "\n" not in said


def test_where_nothing_is_near_no_guess_is_made() -> None:
    said = str(unknown("recipe", "qqq", ["smooth-distill"]))
    assert "did you mean" not in said
    assert "smooth-distill" in said


def test_where_nothing_is_known_the_line_says_so() -> None:
    error = unknown("recipe", "x", [])
    assert isinstance(error, UserError)
    assert "none" in str(error)


def test_of_very_many_names_the_nearest_is_told_and_most_are_counted() -> None:
    said = str(unknown("subject", "foto_0718.jpg", [f"photo_{i:04}.jpg" for i in range(5000)]))
    assert "did you mean 'photo_0718.jpg'" in said
    assert "and 4,940 more" in said
    assert len(said) < 1500
