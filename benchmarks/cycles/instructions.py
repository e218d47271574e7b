"""Reads disassembled instructions: their class and their registers.

The classes are those of `timings.py`. An instruction that no class has is an error or UNKNOWN, never a guess.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

FLAGS = 24
VPR = 25
_VECTORS = 16  # the number of q0
_NAMES = {"sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15, "apsr_nzcv": FLAGS, "p0": VPR}
_PC = 15


class Kind(enum.IntEnum):
    """As in pipeline.h."""

    PLAIN = 0
    BRANCH = 1
    CONDITIONAL = 2
    INDIRECT = 3
    LOAD_PC = 4
    LOOP_END = 5
    LOOP_START = 6
    BEGIN = 7
    END = 8
    UNKNOWN = 9


class Access(enum.IntEnum):
    """As in pipeline.h."""

    NONE = 0
    SCALAR = 1
    VECTOR = 2
    GATHER = 3


UNKNOWN = "unknown"
# Marks of cycle_counter_mark(): NOP hints that no compiler emits.
_BEGIN, _END = "bf80", "bf90"

_CONDITION = "(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)"
_SIMD = "(?:s|q|sh|u|uq|uh)(?:add8|add16|sub8|sub16|asx|sax)"

# (class, mnemonic without .n, .w, data types, conditions and predicates). The first match counts.
_SCALAR = (
    ("nop", "nop|it[te]{0,3}|pld|dsb|dmb|isb|bkpt|svc|cpsi[de]|yield|sev|wfi|wfe|csdb|hint|udf"),
    ("move", "movs?|movw|mvns?|sxtb|sxth|uxtb|uxth|adr|movt"),
    ("add", "adds?|addw|subs?|subw"),
    ("alu", "adcs?|sbcs?|rsbs?|rscs?|negs?|ands?|orrs?|orns?|eors?|bics?|cmp|cmn|tst|teq"),
    ("alu", "lsls?|lsrs?|asrs?|rors?|rrxs?|rev|rev16|revsh"),
    ("select", "clz|rbit|sel|csel|cset|csetm|cinc|cinv|cneg|csinc|csinv|csneg|bfi|bfc|mrs|msr"),
    ("field", f"ubfx|sbfx|ssat|usat|ssat16|usat16|pkhbt|pkhtb|[su]xta(?:b|h|b16)|[su]xtb16|{_SIMD}|usada?8"),
    ("field", "qd?add|qd?sub"),
    ("long_shift", "[su]?q?r?sh[lr]l?|lsll|lsrl|asrl"),
    ("multiply", "muls?|smul[bt][bt]|smulw[bt]|smmulr?|smu[as]dx?"),
    ("multiply_add", "mla|mls|smla[bt][bt]|smlaw[bt]|smml[as]r?|smla?[ds]d?x?|smlsdx?"),
    ("multiply_long", "umull|smull"),
    ("multiply_long_add", "umlal|smlal|umaal|smlal[bt][bt]|smlald?x?|smlsldx?"),
    ("divide", "udiv|sdiv"),
    ("load_double", "ldrd"),
    ("load", "ldr|ldrb|ldrh|ldrsb|ldrsh|ldrex[bh]?|lda"),
    ("store_double", "strd"),
    ("store", "str|strb|strh|strex[bh]?|stl"),
    ("load_multiple", "ldm(?:ia|db|fd|ea)?|pop"),
    ("store_multiple", "stm(?:ia|db|fd|ea)?|push"),
    ("table_branch", "tbb|tbh"),
    ("compare_branch", "cbz|cbnz"),
    ("call", "bl"),
    ("branch_register", "bx|blx|bxns|blxns"),
    ("branch", "b"),
    ("loop_end", "le|letp"),
    ("loop_start", r"(?:dls|wls)(?:tp\.(?:8|16|32|64))?"),
    ("control", "lctp"),
    ("float_load", "vldr|vldm(?:ia|db)?|vpop"),
    ("float_store", "vstr|vstm(?:ia|db)?|vpush"),
)

# The same for instructions with a data type, such as vmla.s8. Of MVE and of the floating-point unit.
_VECTOR = (
    ("vector_control", "vpst|vpnot|vctp"),
    ("vector_compare", "vcmp|vpt"),
    ("vector_narrow", "vq?movu?n[bt]?|vq?r?shru?n[bt]"),
    ("vector_round", "vrshl|vqshlu?|vqrshl|vrshr|vadci?|vsbci?|vmull[bt]p"),
    ("vector_reduce_8", "v(?:max|min)a?v8"),
    ("vector_reduce_16", "v(?:max|min)a?v16|vabav(?:8|16|32)"),
    ("vector_reduce_32", "v(?:max|min)a?v32"),
    ("vector_to_scalar", "vmov_from_lane|vmov_pair_from"),
    ("vector_from_scalar", "vmov_to_lane|vmov_pair_to"),
    ("vector_multiply", "vmov_immediate|vq?r?d?mulh|vmul|vq?d?mull[bt]?|vq?r?d?ml[as]d?a?s?h?x?"),
    ("vector_multiply", "vr?ml[as](?:da)?l?d?a?v?a?x?|vadd[l]?va?|vfm[as]s?"),
    (
        "vector_integer",
        "vadd|vsub|vand|vbic|vorr|vorn|veor|vmvn|vmov|vdup|v[di]w?dup|vmina?|vmaxa?|vshl|vshllb?t?|vshr|vsli|vsri"
        "|vrev(?:16|32|64)|vneg|vabs|vqneg|vqabs|vqadd|vqsub|vhadd|vhsub|vrhadd|vpsel|vmovl[bt]?|vclz|vcls|vbrsr|vabd",
    ),
)

_FLOAT = (
    ("float_slow", "vdiv|vsqrt|vadd_double|vsub_double|vmul_double|vfn?m[as]_double"),
    ("float", "v[a-z0-9_]+"),
)


def _compiled(table: tuple[tuple[str, str], ...]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(f"(?:{pattern})")) for name, pattern in table)


_SCALAR_PATTERNS, _VECTOR_PATTERNS, _FLOAT_PATTERNS = map(_compiled, (_SCALAR, _VECTOR, _FLOAT))
_LINE = re.compile(r" *([0-9a-f]+):\t([0-9a-f]{4}(?: [0-9a-f]{4})?) *\t([^\t]+)(?:\t(.*))?")
_REGISTER = re.compile(r"\b(r\d+|q\d|[sd]\d+|sl|fp|ip|sp|lr|pc|APSR_nzcv|p0)\b")
_ADDRESS = re.compile(r"\[([^\]]*)\](!?)(?:, #(-?\d+))?")


@dataclass(frozen=True)
class Decoded:
    """An instruction.

    Attributes:
      address: where it is.
      size: 2 or 4 bytes.
      text: mnemonic and operands.
      name: its class, a key of the tables of timings.py.
      kind: how it continues.
      reads, writes: registers by number: r0..r15, q0 is 16, FLAGS, VPR. A register of the floating-point unit counts
        as the vector register that contains it.
      offsets: vector registers with the offsets of a gather or scatter; not in `reads`.
      bases: registers that are ready a cycle later: flags, and base registers with write-back.
      access: how it accesses memory.
      registers: number of registers that it loads or stores.
      shifts: whether an operand is shifted.
      is_light: whether it may be the light half of a pair of 16-bit instructions.
    """

    address: int
    size: int
    text: str
    name: str
    kind: Kind
    reads: frozenset[int]
    writes: frozenset[int]
    offsets: frozenset[int] = frozenset()
    bases: frozenset[int] = frozenset()
    access: Access = Access.NONE
    registers: int = 0
    shifts: bool = False
    is_light: bool = False


def read(disassembly: str) -> Iterator[Decoded]:
    """Decodes the output of `objdump -d`, without data."""
    for line in disassembly.splitlines():
        match = _LINE.match(line)
        if match is None or match[3].startswith((".", "undefined", "\t")):
            continue
        address, raw, mnemonic, operands = match.groups()
        operands = re.split(r"\s*@|\s*;|\s*<", operands or "")[0].strip()
        yield decode(int(address, 16), raw, mnemonic.strip(), operands)


def decode(address: int, raw: str, mnemonic: str, operands: str) -> Decoded:
    """Decodes an instruction.

    Args:
      address: its address.
      raw: its halfwords in hexadecimal.
      mnemonic: as objdump prints it, with suffixes.
      operands: likewise, without comments.
    """
    size = 2 * len(raw.split())
    text = f"{mnemonic} {operands}".strip()
    nothing: frozenset[int] = frozenset()
    if raw in (_BEGIN, _END):
        return Decoded(address, size, text, "nop", Kind.BEGIN if raw == _BEGIN else Kind.END, nothing, nothing)
    plain = re.sub(r"\.[nw]$", "", mnemonic)
    if plain.startswith("v") and not re.match(r"v(?:ldr|str|ldm|stm|pop|push)(?:ia|db)?\b(?!\.)", plain):
        # Of the floating-point unit: VMOVLT of vectors has no condition.
        stem = plain if re.search(r"\bq\d", operands) else re.sub(f"^vmov{_CONDITION}\\b", "vmov", plain)
        name, is_conditional = _vector_class(stem, operands), stem != plain
    else:
        name, is_conditional = _scalar_class(plain)
    if name == UNKNOWN:
        return Decoded(address, size, text, UNKNOWN, Kind.UNKNOWN, nothing, nothing)
    return _with_registers(address, size, text, name, plain, operands, is_conditional)


def _scalar_class(mnemonic: str) -> tuple[str, bool]:
    """Returns the class, and whether the instruction is conditional."""
    for name, pattern in _SCALAR_PATTERNS:
        if pattern.fullmatch(mnemonic):
            return name, False
    stem = re.sub(_CONDITION + "$", "", mnemonic)
    for name, pattern in _SCALAR_PATTERNS:
        if stem != mnemonic and pattern.fullmatch(stem):
            return name, True
    return UNKNOWN, False


def _vector_class(mnemonic: str, operands: str) -> str:
    stem, _, data_type = mnemonic.partition(".")
    if stem in ("vmrs", "vmsr"):
        return "vector_control" if "p0" in operands else "float"
    is_vector = "q" in operands or data_type[1:2] != "6" and re.search(r"\bq\d", operands) is not None
    memory = re.match(r"v(ld|st)(?:r[bhwd]|[24]\d)", stem)
    if memory:
        gather = re.search(r"\[[^\]]*q\d", operands) is not None
        return f"vector_{'gather' if gather else 'load' if memory[1] == 'ld' else 'store'}"
    if re.fullmatch("vp(?:st|t)[te]*|vpnot|vctp", stem):
        return "vector_compare" if data_type and stem.startswith("vpt") else "vector_control"
    bits = re.sub(r"\D", "", data_type.split(".")[0])
    if stem == "vmov" and not re.match(r"q\d, q\d$", operands):
        registers = operands.split(", ")
        if registers[0].startswith("q") and "[" not in operands and registers[1].startswith("#"):
            stem = "vmov_immediate"
        elif re.match(r"[sdq]\d+\[", operands):
            stem = "vmov_to_lane"
        elif re.search(r", [sdq]\d+\[", operands):
            stem = "vmov_from_lane"
        elif not is_vector:
            return "float"
    if not is_vector and not stem.startswith("vmov"):
        if data_type.endswith("f64") and re.fullmatch("v(add|sub|mul|fn?m[as])", stem):
            stem += "_double"
        return next((name for name, pattern in _FLOAT_PATTERNS if pattern.fullmatch(stem)), UNKNOWN)
    # A predicated instruction ends in t or e. Few mnemonics do so themselves.
    for candidate in (stem, re.sub("[te]$", "", stem)):
        for name, pattern in _VECTOR_PATTERNS:
            if pattern.fullmatch(candidate) or pattern.fullmatch(candidate + bits):
                return name
    return UNKNOWN


def _numbers(text: str) -> list[int]:
    """Returns the registers in an operand, in order, with ranges."""

    def spelled_out(match: re.Match[str]) -> str:
        kind, first, last = match.groups()
        return ", ".join(f"{kind}{i}" for i in range(int(first), int(last) + 1))

    return [_number(name) for name in _REGISTER.findall(re.sub(r"\b([rsd])(\d+)-[rsd](\d+)\b", spelled_out, text))]


def _number(name: str) -> int:
    name = name.lower()
    if name in _NAMES:
        return _NAMES[name]
    index = int(name[1:])
    return {"r": index, "q": _VECTORS + index, "s": _VECTORS + index // 4 % 8, "d": _VECTORS + index // 2 % 8}[name[0]]


_STORES = ("store", "store_double", "vector_store", "float_store")
_FLAGS_ONLY = re.compile("cmp|cmn|tst|teq|vcmpe?|vpt")
# The destination is an operand too.
_ACCUMULATES = re.compile(
    r"movt|bfi|bfc|vq?r?d?ml[as]|vr?mlal|v(max|min)a?v|vaddl?va|vfm[as]|vsli|vsri|vq?movu?n|vq?r?shru?n|vabav"
    r"|[us]mlal|umaal|smlsld"
)
_TWO_RESULTS = re.compile(r"[us]m(ull|lal|laal|aal|lsld)|umaal|vr?mlal|vaddlv")
_TWO_SCALARS = re.compile(r"(?:r\d+|ip|lr|sl|fp), (?:r\d+|ip|lr|sl|fp),")
_READS_FLAGS = re.compile("adc|sbc|rrx|c(sel|set|inc|inv|neg|sinc|sinv|sneg)|it")
_SHIFTED = re.compile(", (?:lsl|lsr|asr|ror) #[1-9]|, rrx")
_MEMORY_CLASS = re.compile("load|store|gather")
_SEPARATOR = re.compile(r", (?![^\[{]*[\]}])")  # between operands, not within [] or {}


@dataclass
class _Registers:
    """The registers of an instruction; the fields are those of Decoded."""

    reads: set[int] = field(default_factory=set)
    writes: set[int] = field(default_factory=set)
    offsets: set[int] = field(default_factory=set)
    bases: set[int] = field(default_factory=set)
    access: Access = Access.NONE
    registers: int = 0


def _with_registers(
    address: int, size: int, text: str, name: str, mnemonic: str, operands: str, is_conditional: bool
) -> Decoded:
    """Returns the instruction of a class with its registers and its kind."""
    stem = mnemonic.split(".")[0]
    bare = re.sub(_CONDITION + "$", "", stem) if is_conditional else stem
    parts = _SEPARATOR.split(operands) if operands else []
    memory = _ADDRESS.search(operands) if _MEMORY_CLASS.search(name) else None
    if name in ("load_multiple", "store_multiple") or (name in ("float_load", "float_store") and "{" in operands):
        found = _of_multiple(name, stem, operands)
    elif memory:
        found = _of_memory(name, stem, operands, memory)
        if name == "store" and len(_numbers(memory[1])) > 1:
            name = "store_indexed"
    elif name in ("table_branch", "loop_start", "branch_register", "compare_branch"):
        found = _Registers(reads=set(_numbers(operands)))
    elif name in ("loop_end", "branch", "call"):
        found = _Registers()
    else:
        found = _of_operation(name, stem, parts)
    _add_flags(found, name, bare, is_conditional)
    kind = _kind(name, is_conditional, _PC in found.writes)
    found.writes.discard(_PC)
    found.reads.discard(_PC)
    immediate = len(parts) > 1 and parts[-1].startswith("#")
    return Decoded(
        address,
        size,
        text,
        name,
        kind,
        frozenset(found.reads),
        frozenset(found.writes),
        frozenset(found.offsets),
        frozenset(found.bases),
        found.access,
        found.registers,
        shifts=memory is None and _SHIFTED.search(operands) is not None,
        is_light=size == 2 and (name in ("nop", "branch", "move") or (name == "add" and immediate)),
    )


def _of_multiple(name: str, stem: str, operands: str) -> _Registers:
    """Returns the registers of a load or store with a list: "ldmia r0!, {r1, r2}"."""
    begin = operands.index("{")
    listed = set(_numbers(operands[begin:]))
    base = set(_numbers(operands[:begin])) or {_NAMES["sp"]}
    found = _Registers(reads=set(base), access=Access.SCALAR)
    if "!" in operands or stem.startswith(("pop", "push", "vpop", "vpush")):
        found.bases = base
    (found.writes if "load" in name else found.reads).update(listed)
    found.registers = len(_numbers(operands[begin:])) * (2 if operands[begin + 1] == "d" else 1)
    return found


def _of_memory(name: str, stem: str, operands: str, memory: re.Match[str]) -> _Registers:
    """Returns the registers of a load or store: "ldr r0, [r1, r2]", "vldrb.u8 q0, [r1, q2]", "str r0, [r1], #4"."""
    data = _numbers(operands[: memory.start()])
    in_address = _numbers(memory[1])
    access = Access.VECTOR if name.startswith("vector") else Access.SCALAR
    found = _Registers(access=Access.GATHER if name == "vector_gather" else access, registers=len(data))
    found.offsets = {number for number in in_address if number >= _VECTORS}
    found.reads = {number for number in in_address if number < _VECTORS}
    has_write_back = memory[2] or memory[3]
    if has_write_back:
        found.bases.update(in_address[:1])
    (found.reads if name in _STORES or stem.startswith("vst") else found.writes).update(data)
    return found


def _of_operation(name: str, stem: str, parts: Sequence[str]) -> _Registers:
    """Returns the registers of an instruction without memory: "adds r0, r1, #1", "vmla.s16 q0, q1, r2"."""
    results = 1
    if name == "long_shift" or _TWO_RESULTS.match(stem) or (stem == "vmov" and _TWO_SCALARS.match(", ".join(parts))):
        results = 2
    elif _FLAGS_ONLY.match(stem) or stem.startswith("vctp"):
        results = 0
    found = _Registers()
    for index, part in enumerate(parts):
        (found.writes if index < results else found.reads).update(_numbers(part))
    # Two operands: "adds r0, #1", "vbic.i16 q0, #255", "vrshl.s32 q0, r1", but not "mov r0, r1".
    in_place = name in ("add", "alu", "vector_round") and not stem.startswith(("neg", "rev"))
    if (
        name == "long_shift"
        or _ACCUMULATES.match(stem)
        or (len(parts) == 2 and (in_place or re.match("vbic|vorr|vshl", stem)))
    ):
        found.reads.update(found.writes)
    if stem.startswith(("vidup", "vddup", "viwdup", "vdwdup")):
        found.bases.update(number for number in found.reads if number < _VECTORS)
    return found


def _add_flags(found: _Registers, name: str, bare: str, is_conditional: bool) -> None:
    """Adds the flags and the VPR."""
    if (bare.endswith("s") and name in ("move", "add", "alu", "multiply")) or _FLAGS_ONLY.match(bare):
        found.bases.add(VPR if name == "vector_compare" else FLAGS)
    if bare.startswith("vctp"):
        found.writes.add(VPR)
    if is_conditional or _READS_FLAGS.match(bare):
        found.reads.add(FLAGS)
    if re.match("vpst|vpsel|vpnot", bare):
        found.reads.add(VPR)
    if name == "call":
        found.bases.add(_NAMES["lr"])


def _kind(name: str, is_conditional: bool, writes_pc: bool) -> Kind:
    kinds = {
        "call": Kind.BRANCH,
        "compare_branch": Kind.CONDITIONAL,
        "branch_register": Kind.INDIRECT,
        "table_branch": Kind.LOAD_PC,
        "loop_start": Kind.LOOP_START,
        "loop_end": Kind.LOOP_END,
        "branch": Kind.CONDITIONAL if is_conditional else Kind.BRANCH,
    }
    if writes_pc:
        return Kind.LOAD_PC if _MEMORY_CLASS.search(name) else Kind.INDIRECT
    return kinds.get(name, Kind.PLAIN)
