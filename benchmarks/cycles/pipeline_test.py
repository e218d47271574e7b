"""Tests the model of the pipeline with sequences whose cycles are counted by hand (docs/cycles.md)."""

from __future__ import annotations

import pytest

from benchmarks.cycles.sequences import CODE, cycles

# Sixteen bytes in sixteen words of all banks in turn, and in one bank.
SPREAD = " ".join(str(4 * i) for i in range(16))
ONE_BANK = " ".join(str(16 * i) for i in range(16))
ONE_WORD = " ".join("64" for _ in range(16))


def test_instructions_of_different_pipes_overlap():
    # Each starts a cycle after the one before; a load's first half is ready for the multiplication's first half.
    assert cycles("m55", "vldrb.s16 q0, [r0]\nvmla.s16 q1, q0, r2\n" * 4) == 8


def test_instructions_of_one_pipe_take_two_cycles():
    # Starts at 0, 2, 4, 6; the next one may start at 7, on another pipe.
    assert cycles("m55", "vldrb.s16 q0, [r0]\n" * 4) == 7
    assert cycles("m55", "vmla.s16 q0, q4, r0\nvmla.s16 q1, q4, r0\nvmla.s16 q2, q4, r0\n") == 5


@pytest.mark.parametrize(
    ("producer", "latency"),
    [
        ("vldrb.s16 q0, [r0]", 1),
        ("vadd.i32 q0, q1, q2", 1),
        ("vrshl.s32 q0, q1, q2", 2),
        ("vmla.s16 q0, q1, r2", 2),
        ("vqrdmulh.s32 q0, q1, q2", 2),
        ("vqmovnb.s16 q0, q1", 3),
        ("vshl.s32 q0, q1, q2", 1),
    ],
)
def test_user_of_a_result_waits_for_its_latency(producer, latency):
    # The user runs on another pipe.
    user = "vand q3, q0, q0" if producer.startswith(("vmla", "vqrdmulh")) else "vmul.i32 q3, q0, q0"
    assert cycles("m55", f"{producer}\n{user}") == latency + 1
    unrelated = user.replace("q0", "q4")
    assert cycles("m55", f"{producer}\n{unrelated}") == 2


@pytest.mark.parametrize(
    ("accesses", "dtcm", "cached"), [(SPREAD, 8, 16), (ONE_BANK, 16, 16), (ONE_WORD, 8, 16), ("0 4 8 12", 2, 4)]
)
def test_gather_takes_two_accesses_a_cycle_from_different_banks(accesses, dtcm, cached):
    two = f"vldrb.u8 q0, [r0, q1] @ {accesses}\nvldrb.s16 q2, [r1]"
    # The second load starts when the gather has left the pipe.
    assert cycles("m55", two, memory="dtcm") == dtcm + 1
    assert cycles("m55", two, memory="cached") == cached + 1


def test_scatter_costs_as_much_as_a_gather():
    assert cycles("m55", f"vstrb.16 q0, [r1, q7] @ {ONE_BANK}\nvldrb.s16 q2, [r1]") == 17


@pytest.mark.parametrize(
    ("producer", "latency"),
    [
        ("add.w r0, r1, r2", 1),
        ("clz r0, r1", 1),
        ("bfi r0, r1, #0, #4", 1),
        ("ubfx r0, r1, #0, #4", 2),
        ("ldr.w r0, [r1]", 2),
    ],
)
def test_user_of_a_scalar_waits_for_its_latency(producer, latency):
    assert cycles("m55", f"{producer}\nadd.w r3, r0, r4") == latency + 1


def test_offsets_of_a_gather_must_be_ready_early():
    # vadd at 0, its result at 1, the gather at 5 and the cycle after it.
    assert cycles("m55", "vadd.i32 q1, q1, q2\nvldrw.u32 q0, [r0, q1, uxtw #2] @ 0 4 8 12") == 6
    assert cycles("m55", "vadd.i32 q3, q3, q2\nvldrw.u32 q0, [r0, q1, uxtw #2] @ 0 4 8 12") == 2


def test_vector_of_constants_from_the_code_takes_four_cycles():
    assert cycles("m55", f"vldrw.u32 q0, [r0] @ {CODE + 64}\nvldrw.u32 q1, [r0] @ 0x30000000") == 5


def test_loop_end_is_free_after_the_first_pass():
    loop = "dls lr, r0\nvldrb.s16 q0, [r0]\nvmla.s16 q1, q0, r2\nle lr, 10000004"
    # dls, then 2 and LE with its branch, then 2 for each pass.
    assert cycles("m55", loop, [0, 1, 2, 3]) == 1 + 2 + 1
    assert cycles("m55", loop, [0, 1, 2, 3, 1, 2, 3]) == 1 + (2 + 1 + 1) + 2
    assert cycles("m55", loop, [0] + [1, 2, 3] * 4) == 1 + (2 + 1 + 1) + 3 * 2
    # The loop is entered again.
    assert cycles("m55", loop, ([0] + [1, 2, 3] * 2) * 2) == 2 * (1 + (2 + 1 + 1) + 2)


def test_target_off_a_multiple_of_four_costs_a_cycle():
    loop = "vldrb.s16 q0, [r0]\nvmla.s16 q1, q0, r2\nb.n 10000000"
    executed = [0, 1, 2, 0, 1]
    assert cycles("m55", loop, executed, start=CODE + 2) == cycles("m55", loop, executed) + 1


@pytest.mark.parametrize(
    ("branch", "taken"), [("b.n 0", 2), ("bx lr", 3), ("ldr.w pc, [r0, r1, lsl #2]", 4), ("bl 0", 2)]
)
def test_taken_branch(branch, taken):
    # The branch, then the instruction at the target.
    assert cycles("m55", f"{branch}\nnop\nnop", [0, 2]) == taken + 1


def test_conditional_branch_is_predicted_by_its_direction():
    forward = "beq.n 4\nnop\nnop"
    assert cycles("m55", forward, [0, 1]) == 2
    assert cycles("m55", forward, [0, 2]) == 1 + 2 + 1
    backward = "nop\nbne.n 0\nnop"
    assert cycles("m55", backward, [1, 0]) == 1 + 1 + 1


def test_two_short_instructions_share_a_cycle_if_one_is_light():
    assert cycles("m55", "movs r0, #1\nands r1, r2") == 1
    assert cycles("m55", "ands r3, r4\nands r1, r2") == 2
    assert cycles("m55", "str r3, [r4]\nbeq.n 4\nnop", [0, 1, 2]) == 2  # with the branch, not after it
    assert cycles("m55", "movs r0, #1\nands r1, r0") == 2  # it uses the result
    assert cycles("m55", "movs.w r0, #1\nands r1, r2") == 2
    assert cycles("m55", "movs r0, #1\nmovs r1, #1\nmovs r2, #1") == 2


def test_multiple_registers_take_a_cycle_for_two():
    assert cycles("m55", "ldmia.w r0, {r1, r2, r3, r4}") == 2
    assert cycles("m55", "ldmia.w r0, {r1, r2, r3, r4, r5}") == 3


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        # The examples of the Cortex-M4's technical reference manual, 3.3.2 and table 3-1.
        ("ldr r0, [r1, r5]\nldr r1, [r2, #0]", 3),
        ("ldr r0, [r1, r2]\nstr r0, [r3, #20]", 3),
        ("ldr r0, [r1]\nadds r0, #1", 3),
        ("ldr r0, [r1]\nldr r2, [r0]", 4),  # the second one needs the address
        ("str r0, [r1, #4]\nadds r0, #1", 2),
        ("str r0, [r1, r2]\nadds r0, #1", 3),
        ("ldmia r0!, {r1, r2, r3}", 4),
        ("push {r1, r2, r3, lr}", 5),
        ("smlal r0, r1, r2, r3\nsmlad r4, r5, r6, r4", 2),
        ("ldrd r0, r1, [r2]", 3),
    ],
)
def test_cortex_m4(sequence, expected):
    assert cycles("m4", sequence) == expected


def test_cortex_m4_does_not_predict():
    assert cycles("m4", "beq.n 4\nnop\nnop", [0, 2]) == 1 + 2 + 1
    assert cycles("m4", "beq.n 4\nnop\nnop", [0, 1]) == 2


def test_cortex_m3_multiplies_long_in_several_cycles():
    assert cycles("m3", "smlal r0, r1, r2, r3\nmla r4, r5, r6, r4") == 4 + 2


def test_cortex_m0plus():
    assert cycles("m0plus", "ldr r0, [r1]\nldr r2, [r3]\nmuls r2, r0\nstr r2, [r3]") == 2 + 2 + 1 + 2
    assert cycles("m0plus", "b.n 0\nnop\nnop", [0, 2]) == 2 + 1


def test_cortex_m7_issues_two_at_once():
    assert cycles("m7", "add.w r0, r1, r2\nadd.w r3, r4, r5") == 1
    assert cycles("m7", "add.w r0, r1, r2\nadd.w r3, r0, r5") == 2
    assert cycles("m7", "mla r0, r1, r2, r0\nmla r3, r4, r5, r3") == 2  # one multiplier
    assert cycles("m7", "ldr.w r0, [r1]\nldr.w r2, [r3]\nadd.w r0, r0, r2") == 3
