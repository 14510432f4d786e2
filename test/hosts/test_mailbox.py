from hypothesis import given, strategies as st

from scene_understanding.hosts.mailbox import Mailbox


@given(st.lists(st.one_of(st.integers(), st.none())))
def test_it_holds_the_newest_and_counts_the_others(steps: list) -> None:
    """A number is put in; None is a take."""
    mailbox: Mailbox[int] = Mailbox()
    newest, taken = None, 0
    for step in steps:
        if step is None:
            assert mailbox.take() == newest
            taken += newest is not None
            newest = None
        else:
            mailbox.put(step)
            newest = step
        assert mailbox.item == newest
    assert mailbox.received == taken + mailbox.dropped + (newest is not None)
