"""Tests that disassembled instructions are read: their class, registers and kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cycles import instructions, program, timings
from benchmarks.cycles.instructions import FLAGS, UNKNOWN, VPR, Access, Kind

_BENCHMARKS = Path(__file__).parents[1]


def q(*numbers: int) -> frozenset[int]:
    return frozenset(16 + number for number in numbers)


def decode(text: str, raw: str = "0000 0000") -> instructions.Decoded:
    mnemonic, _, operands = text.partition(" ")
    return instructions.decode(0, raw, mnemonic, operands)


@pytest.mark.parametrize("firmware", ["cortex_m", "model"])
@pytest.mark.parametrize("core", timings.CORES)
def test_every_instruction_of_the_firmware_has_a_timing(core, firmware):
    decoded = list(instructions.read((_BENCHMARKS / f"{firmware}_bench_{core}.txt").read_text()))
    assert len(decoded) > 10_000
    assert program.unknown(timings.CORES[core], decoded) == []
    assert {Kind.BEGIN, Kind.END} <= {one.kind for one in decoded}


@pytest.mark.parametrize("text", ["vfrobnicate.s8 q0, q1", "frobnicate r0, r1", "ldx r0, [r1]", "vaddq.s8 q0, q1, q2"])
def test_unknown_instruction_has_no_class(text):
    assert decode(text).name == UNKNOWN
    assert decode(text).kind == Kind.UNKNOWN
    assert program.unknown(timings.CORES["m55"], [decode(text)]) == [text]


@pytest.mark.parametrize(
    ("text", "name", "reads", "writes"),
    [
        ("adds r0, r1, r2", "add", {1, 2}, {0}),
        ("adds r0, #1", "add", {0}, {0}),
        ("mov r0, sl", "move", {10}, {0}),
        ("add.w r0, r1, r2, lsl #2", "add", {1, 2}, {0}),
        ("cmp r0, r1", "alu", {0, 1}, set()),
        ("smlal r0, r1, r2, r3", "multiply_long_add", {0, 1, 2, 3}, {0, 1}),
        ("smull r0, r1, r2, r3", "multiply_long", {2, 3}, {0, 1}),
        ("mla r0, r1, r2, r3", "multiply_add", {1, 2, 3}, {0}),
        ("ldrd r0, r1, [r2, #8]", "load_double", {2}, {0, 1}),
        ("str.w r0, [r1, r2, lsl #2]", "store_indexed", {0, 1, 2}, set()),
        ("str r0, [r1, #4]", "store", {0, 1}, set()),
        ("bfi r0, r1, #8, #4", "select", {0, 1}, {0}),
        ("qadd r3, r3, r5", "field", {3, 5}, {3}),
        ("lsll r0, r1, #4", "long_shift", {0, 1}, {0, 1}),
        ("asrle r3, r1, #16", "alu", {1, FLAGS}, {3}),
        ("vmla.s16 q0, q7, r5", "vector_multiply", {*q(0, 7), 5}, q(0)),
        ("vmul.i32 q0, q7, r5", "vector_multiply", {*q(7), 5}, q(0)),
        ("vmlava.s8 r0, q2, q1", "vector_multiply", {0, *q(1, 2)}, {0}),
        ("vbic.i16 q0, #65280", "vector_integer", q(0), q(0)),
        ("vbic q0, q1, q2", "vector_integer", q(1, 2), q(0)),
        ("vsli.16 q0, q4, #8", "vector_integer", q(0, 4), q(0)),
        ("vaddt.i8 q3, q3, r5", "vector_integer", {*q(3), 5}, q(3)),
        ("vrshl.s32 q3, q3, q1", "vector_round", q(1, 3), q(3)),
        ("vrshl.s32 q3, r1", "vector_round", {*q(3), 1}, q(3)),
        ("vqmovnb.s16 q0, q1", "vector_narrow", q(0, 1), q(0)),
        ("vmaxvt.u8 r0, q3", "vector_reduce_8", {0, *q(3)}, {0}),
        ("vmov.u8 r7, d0[3]", "vector_to_scalar", q(0), {7}),
        ("vmov.32 d1[0], r2", "vector_from_scalar", {2}, q(0)),
        ("vmov.i32 q0, #0", "vector_multiply", set(), q(0)),
        ("vmov q1, q0", "vector_integer", q(0), q(1)),
        ("vmovlt.s8 q1, q0", "vector_integer", q(0), q(1)),
        ("vmovmi.f32 s0, s1", "float", {*q(0), FLAGS}, q(0)),
        ("vmsr p0, r2", "vector_control", {2}, {VPR}),
        ("vadd.f64 d0, d1, d2", "float_slow", q(0, 1), q(0)),
        ("vpush {d8-d9}", "float_store", {13, *q(4)}, set()),
    ],
)
def test_class_and_registers(text, name, reads, writes):
    decoded = decode(text)
    assert (decoded.name, decoded.reads, decoded.writes) == (name, reads, writes)


def test_gather():
    decoded = decode("vldrw.u32 q3, [lr, q7, uxtw #2]")
    assert (decoded.name, decoded.access, decoded.offsets) == ("vector_gather", Access.GATHER, q(7))
    assert (decoded.reads, decoded.writes) == ({14}, q(3))
    scatter = decode("vstrb.16 q0, [r1, q7]")
    assert (scatter.access, scatter.offsets, scatter.reads, scatter.writes) == (Access.GATHER, q(7), {1, 16}, set())


def test_base_registers_and_flags_are_ready_early():
    assert decode("vldrb.u8 q0, [r2], #16").bases == {2}
    assert decode("ldr.w r0, [r1, #4]!").bases == {1}
    assert decode("ldmia.w lr!, {r0, r1}").bases == {14}
    assert decode("subs r0, #1").bases == {FLAGS}
    assert decode("moveq r0, #1").reads >= {FLAGS}
    assert decode("vcmp.u32 cs, q4, q1").bases == {VPR}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("b.n 100", Kind.BRANCH),
        ("bne.w 100", Kind.CONDITIONAL),
        ("cbz r0, 100", Kind.CONDITIONAL),
        ("bl 100", Kind.BRANCH),
        ("bx lr", Kind.INDIRECT),
        ("mov pc, lr", Kind.INDIRECT),
        ("ldr.w pc, [r0, r1, lsl #2]", Kind.LOAD_PC),
        ("pop {r4, pc}", Kind.LOAD_PC),
        ("ldmia.w sp!, {r4, r5, pc}", Kind.LOAD_PC),
        ("tbh [pc, r0, lsl #1]", Kind.LOAD_PC),
        ("le lr, 100", Kind.LOOP_END),
        ("letp lr, 100", Kind.LOOP_END),
        ("dlstp.8 lr, r0", Kind.LOOP_START),
        ("ldr r0, [r1]", Kind.PLAIN),
    ],
)
def test_kind(text, kind):
    assert decode(text).kind == kind


def test_marks_are_found_by_their_encoding():
    assert instructions.decode(0, "bf80", "nop", "{8}").kind == Kind.BEGIN
    assert instructions.decode(0, "bf90", "nop", "{9}").kind == Kind.END


def test_data_and_headings_are_skipped():
    text = "10000040 <fits>:\n10000040:\te92d 4ff0 \tpush\t{r4, lr}\n10000044:\t12345678 \t.word\t0x12345678\n"
    [decoded] = instructions.read(text)
    assert (decoded.address, decoded.size, decoded.registers) == (0x10000040, 4, 2)
