import numpy as np

from scene_understanding.mapping.lingering import Lingering


def test_a_post_stays_and_a_walker_does_not() -> None:
    lingering, rng = Lingering(), np.random.default_rng(0)
    for t in np.arange(0.0, 4.0, 0.1):
        post = np.array([[1.05, -2.05]]) + rng.normal(0, 0.01, (20, 2))
        walker = np.array([[-3.0 + 0.8 * t, 0.5]]) + rng.normal(0, 0.05, (20, 2))
        stays = lingering.update(np.concatenate([post, walker]), t)
        assert not stays[20:].any()
        assert stays[:20].all() == (t > 1.45) and stays[:20].any() == (t > 1.45)


def test_what_is_hidden_for_a_moment_stays_and_for_longer_is_new() -> None:
    thing, nothing = np.array([[0.5, 0.5]]), np.zeros((0, 2))
    for hidden, stays in ((0.3, True), (0.8, False)):
        lingering = Lingering()
        for t in np.arange(0.0, 2.01, 0.1):
            lingering.update(thing, t)
        for t in np.arange(2.1, 2.0 + hidden, 0.1):
            assert lingering.update(nothing, t).shape == (0,)
        assert lingering.update(thing, 2.0 + hidden).tolist() == [stays]
