"""Rows that were refused alike are told once."""

from meterledger.usecases.refused_groups import PLACES_KEPT, RefusedGroups


def test_messages_that_differ_in_values_alone_are_one_group() -> None:
    """One line with the number of rows and the first places; another reason or wording is another line."""
    groups = RefusedGroups()
    for line in range(2, 12):
        groups.add("a.csv", line, "too_precise", f"quantity '0.{line}' has {line} decimal places")
    groups.add("b.csv", 5, "too_precise", "quantity '7' is too long")
    groups.add("b.csv", 6, "invalid_time", "quantity '7' is too long")
    first, *others = groups

    assert (first.count, first.message) == (10, "quantity '0.2' has 2 decimal places")
    assert first.places == [("a.csv", line) for line in range(2, 2 + PLACES_KEPT)]
    assert [(one.reason, one.count) for one in others] == [("too_precise", 1), ("invalid_time", 1)]


def test_messages_without_end_fill_no_memory() -> None:
    """Beyond a number of groups, rows are counted by their reason."""
    groups = RefusedGroups()
    for number in range(1_500):
        groups.add("a.csv", number, "malformed_row", "x" * (number + 1))

    assert len(groups) == 1_001
    assert sum(one.count for one in groups) == 1_500


def test_a_line_with_several_rows_is_one_place() -> None:
    """A file that is one line, and a wide row, name their line once; more places than kept are told."""
    groups = RefusedGroups()
    for line in (1, 1, 1, 2):
        groups.add("a.json", line, "missing_field", "quantity is missing")
    (group,) = groups
    assert (group.count, group.places, group.has_more_places) == (4, [("a.json", 1), ("a.json", 2)], False)
    for line in range(3, 6):
        groups.add("a.json", line, "missing_field", "quantity is missing")
    assert group.has_more_places


def test_each_unknown_feature_is_told() -> None:
    """One is to be added to a meter as much as another: they are not one line."""
    groups = RefusedGroups()
    for line, feature in enumerate(("a", "b", "a"), 2):
        groups.add_rejection("a.csv", line, "unknown_feature", f"feature '{feature}' is in no meter", feature)

    assert [one.count for one in groups] == [2, 1]
