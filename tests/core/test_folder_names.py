"""Every text has a folder of its own: one that the system takes, and that stays where it is put."""

from hypothesis import example, given
from hypothesis import strategies as st

from dagflow.core.folder_names import folder_name

texts = st.text(st.characters(), max_size=40) | st.text("ab%.-/", max_size=300)


@given(texts, texts)
@example("a" * 201, "a" * 202)
@example("", "%")
@example(".", "%2E")
@example("\ud800", "\udfff")
def test_no_two_texts_have_the_same(one: str, other: str) -> None:
    """Different texts have different names, however long they are, and whatever is in them."""
    assert (one == other) == (folder_name(one) == folder_name(other))


@given(texts)
@example("..")
@example("a/b\0c")
@example("\ud800" * 300)
def test_a_name_is_that_of_one_visible_folder(text: str) -> None:
    """It leads nowhere else, is not hidden, and is not too long for a file system."""
    name = folder_name(text)
    assert name.isascii()
    assert name.isprintable()
    assert "/" not in name
    assert 0 < len(name) <= 200
    assert not name.startswith(".")


def test_names_can_be_read() -> None:
    """What is harmless stays as it is."""
    assert "map [3] - a_b.c" == folder_name("map [3] - a_b.c")
    assert "caf%C3%A9%2Fx" == folder_name("café/x")
