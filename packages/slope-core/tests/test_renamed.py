"""Names of the first slope say what they are called now."""

import pytest

import slope
from slope.renamed import RENAMED


@pytest.mark.parametrize("name", sorted(RENAMED))
def test_an_old_name_gives_the_new_one(name):
    assert name not in slope.__all__
    with pytest.raises(
        slope.errors.RenamedError, match=rf"slope\.{name} is now slope\.{RENAMED[name]}\."
    ):
        getattr(slope, name)
    assert not hasattr(slope, name)


def test_old_methods_give_the_new_ones():
    x = slope.tensor([1.0, 2.0])
    with pytest.raises(
        slope.errors.RenamedError, match=r"'expand_dims' of tensors is now 'unsqueeze'"
    ):
        x.expand_dims(0)  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
    assert not hasattr(x, "clip")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        x.nothing()  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        slope.nothing()
