"""Exact OBS against brute force, layers whose optimum is known, and the masks of patterns."""

import itertools

import numpy as np
import pytest

from dcsr.pruning import obs


def hessian_of(rng, cols, correlation=0.5):
    mixed = rng.standard_normal((200, cols)) @ (np.eye(cols) + correlation * rng.standard_normal((cols, cols)))
    return obs.damped(np.cov(mixed.T), 0.01)


def loss(hessian, weights, wanted):
    return float(np.einsum("ri,ij,rj->", weights - wanted, hessian, weights - wanted))


def greedy(row, hessian):
    """Order and losses of removing one weight after the other, each time with a fresh solution."""
    cols, kept, order, losses, before = len(row), set(range(len(row))), [], [], 0.0
    for _ in range(cols - 1):
        tried = {}
        for column in kept:
            mask = np.isin(np.arange(cols), list(kept - {column}))[np.newaxis]
            best = obs.solve(hessian, row[np.newaxis] @ hessian, mask)
            tried[column] = loss(hessian, best, row[np.newaxis])
        column = min(tried, key=tried.get)
        kept.remove(column)
        order.append(column)
        losses.append(tried[column] - before)
        before = tried[column]
    return order, losses


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_a_row_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    hessian, row = hessian_of(rng, 9), rng.standard_normal(9)
    order, losses = greedy(row, hessian)
    got_order, got_losses = obs._trace_batch(row[np.newaxis].copy(), np.linalg.inv(hessian), 8)
    assert got_order[0].tolist() == order
    np.testing.assert_allclose(got_losses[0], losses, rtol=1e-6)


def test_long_rows_need_several_blocks_of_removals():
    rng = np.random.default_rng(1)
    cols = 3 * obs._BLOCK + 5
    hessian, weights = hessian_of(rng, cols, 0.2), rng.standard_normal((2, cols))
    order, losses = obs._trace_batch(weights.copy(), np.linalg.inv(hessian), cols - 3)
    for row in range(2):
        assert len(set(order[row])) == cols - 3
        for count in (1, obs._BLOCK, obs._BLOCK + 1, cols - 3):
            mask = np.ones((1, cols), bool)
            mask[0, order[row, :count]] = False
            best = obs.solve(hessian, weights[[row]] @ hessian, mask)
            assert losses[row, :count].sum() == pytest.approx(loss(hessian, best, weights[[row]]), rel=1e-6)


def test_float32_takes_nearly_the_order_of_float64():
    rng = np.random.default_rng(2)
    hessian, weights = hessian_of(rng, 70), rng.standard_normal((6, 70))
    inverse = np.linalg.inv(hessian)
    exact = obs._trace_batch(weights.copy(), inverse, 50)[1].sum(axis=1)
    single = obs._trace_batch(weights.astype(np.float32), inverse.astype(np.float32), 50)[1].sum(axis=1)
    np.testing.assert_allclose(single, exact, rtol=0.01)


@pytest.mark.parametrize("damping", [1e-10, 1e-13])
def test_a_matrix_that_is_nearly_singular_still_has_an_order(damping):
    rng = np.random.default_rng(3)
    thin = rng.standard_normal((3, 40))
    hessian = thin.T @ thin + damping * np.eye(40)
    weights = rng.standard_normal((4, 40))
    with pytest.raises(FloatingPointError):
        obs._trace_batch(weights.astype(np.float32), np.linalg.inv(hessian).astype(np.float32), 39)
    found = obs.removal(weights, hessian, 39)
    assert len(set(found.order.tolist())) == 4 * 39
    assert np.all(np.isfinite(found.losses)) and np.all(np.diff(found.losses) >= 0)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_the_solution_is_the_best_of_all_with_that_mask(kept):
    rng = np.random.default_rng(kept)
    hessian, wanted = hessian_of(rng, 5), rng.standard_normal((1, 5))
    for columns in itertools.combinations(range(5), kept):
        mask = np.isin(np.arange(5), columns)[np.newaxis]
        best = obs.solve(hessian, wanted @ hessian, mask)
        assert not np.any(best[~mask])
        for _ in range(20):
            other = best + mask * 0.1 * rng.standard_normal((1, 5))
            assert loss(hessian, other, wanted) >= loss(hessian, best, wanted)


def test_duplicated_inputs_are_removed_without_a_loss():
    """Two inputs that are equal: one of them can go, and the other takes the sum of both weights."""
    rng = np.random.default_rng(4)
    samples = rng.standard_normal((500, 4))
    samples = samples[:, [0, 1, 2, 3, 0, 1, 2, 3]]
    hessian = obs.damped(np.cov(samples.T), 1e-6)
    weights = rng.uniform(0.5, 1, (3, 8))
    found = obs.removal(weights, hessian, 7)
    mask = obs.mask_of(found, (3, 8), 12)
    best = obs.solve(hessian, weights @ hessian, mask)
    assert (mask.sum(axis=1) == 4).all()
    np.testing.assert_allclose(best @ samples.T, weights @ samples.T, atol=1e-3)


def test_independent_inputs_lose_the_weights_of_least_energy():
    """With a diagonal covariance the loss of a weight is its square times the variance, and the others stay."""
    rng = np.random.default_rng(5)
    variance = rng.uniform(0.1, 3, 12)
    weights = rng.standard_normal((4, 12))
    found = obs.removal(weights, np.diag(variance), 11)
    removed = found.order[:20]
    energy = (weights**2 * variance).ravel()
    assert set(removed.tolist()) <= set(np.argsort(energy)[:24].tolist())
    assert energy[removed].sum() == pytest.approx(found.losses[:20].sum(), rel=1e-4)
    mask = obs.mask_of(found, weights.shape, 20)
    np.testing.assert_allclose(obs.solve(np.diag(variance), weights * variance, mask), weights * mask, rtol=1e-9)


def test_rounding_makes_up_for_its_errors():
    rng = np.random.default_rng(6)
    hessian, weights = hessian_of(rng, 40, 1.0), rng.standard_normal((8, 40))
    mask = rng.random(weights.shape) < 0.5
    best = obs.solve(hessian, weights @ hessian, mask)
    scales = np.abs(best).max(axis=1) / 20  # coarse, so that rounding matters
    rounded = obs.round_to_int8(hessian, best, mask, scales)
    plain = np.rint(best / scales[:, np.newaxis])
    assert not np.any(rounded[~mask])
    assert np.abs(rounded.astype(int)).max() <= obs.INT8_MAX
    ours, nearest = (loss(hessian, q * scales[:, np.newaxis], best) for q in (rounded, plain))
    assert ours < 0.7 * nearest


def test_a_pattern_keeps_n_of_m():
    rng = np.random.default_rng(7)
    hessian, weights = hessian_of(rng, 16), rng.standard_normal((6, 16))
    mask = obs.pattern_mask(weights @ hessian, hessian, 2, 4)
    assert (mask.reshape(6, 4, 4).sum(axis=2) == 2).all()
    magnitude = np.argsort(np.argsort(np.abs(weights).reshape(6, 4, 4), axis=2), axis=2) >= 2
    ours, plain = (
        loss(hessian, obs.solve(hessian, weights @ hessian, m), weights) for m in (mask, magnitude.reshape(6, 16))
    )
    assert ours < plain


@pytest.mark.parametrize("block", [(1, 4), (2, 2), (4, 1)])
def test_blocks_go_as_a_whole(block):
    rng = np.random.default_rng(8)
    hessian, weights = hessian_of(rng, 16), rng.standard_normal((8, 16))
    found = obs.block_removal(weights @ hessian, hessian, block, 0.9)
    removals = len(found.order) // 2 // (block[0] * block[1]) * block[0] * block[1]
    mask = obs.mask_of(found, (8, 16), removals)
    blocks = mask.reshape(8 // block[0], block[0], 16 // block[1], block[1]).sum(axis=(1, 3))
    assert set(np.unique(blocks)) == {0, block[0] * block[1]}
    assert (~mask).sum() == removals
    assert np.all(np.diff(found.losses) >= 0)


def test_parts_are_joined_by_their_losses():
    first = obs.Removal(np.array([1, 0, 2]), np.array([0.1, 0.5, 2.0]))
    second = obs.Removal(np.array([3, 0]), np.array([0.2, 1.0]))
    rows = np.arange(2)
    found = obs.joined([(rows, np.array([0, 2]), first), (rows, np.array([1, 3]), second)], 4)
    # Of the first part, index 1 is row 0, column 2; of the second, index 3 is row 1, column 3.
    assert found.order.tolist() == [2, 7, 0, 1, 4]
    assert found.losses.tolist() == [0.1, 0.2, 0.5, 1.0, 2.0]
