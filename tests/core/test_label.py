"""What an app's labels say, and that nothing else is taken for one."""

from reconciler.core import label


def test_the_latest_of_several_pauses_counts_and_past_ones_can_be_told() -> None:
    """Two people paused it; the app rests until the later end, and what is over may be taken off."""
    names = {label.paused(1_900_000_000), label.paused(1_800_000_000.7), "API_KEY"}
    assert label.paused_until(names) == 1_900_000_000
    assert label.expired(names, now=1_800_000_000) == {"RECONCILER_PAUSED_UNTIL_1800000000"}
    assert label.paused_until({"API_KEY"}) is None


def test_what_only_looks_like_a_label_says_nothing() -> None:
    """A name that a person mistyped pauses nothing and remembers nothing."""
    names = {
        "RECONCILER_PAUSED_UNTIL_",
        "RECONCILER_PAUSED_UNTIL_tomorrow",
        "RECONCILER_PAUSED_UNTIL_١٢",
        "PAUSED_UNTIL_1900000000",
        "RECONCILER_MINTED_0_A",
        "RECONCILER_MINTED_x_A",
        "RECONCILER_MINTED_2_",
        "reconciler_protected",
    }
    assert label.paused_until(names) is None
    assert label.minted_versions(names) == {}
    assert not label.is_protected(names)


def test_of_a_generated_secret_the_highest_version_is_remembered() -> None:
    """Names that hold digits and underscores come back whole."""
    names = {label.minted("A_1", 2), label.minted("A_1", 10), label.minted("_2_B", 1)}
    assert label.minted_versions(names) == {"A_1": 10, "_2_B": 1}
    assert label.minted_labels(names)[label.minted("_2_B", 1)] == "_2_B"


def test_an_owner_label_names_the_installation() -> None:
    """It is a label as all others."""
    assert label.owner("inst01") == "RECONCILER_OWNER_INST01"
    assert label.is_label(label.owner("inst01"))
