"""Tests of the sizes of firmware, and of the planner's table of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import dcsr
from benchmarks import code_parts, emulated, firmware_code, firmware_link, firmware_size
from dcsr import model as tflite
from dcsr.planning import code_bytes, linking

# Share by which the table may differ from the code: kernels change more often than it is measured.
_TOLERANCE = 0.05
_MODEL = Path(firmware_size.__file__).parents[1] / "models/kws/ds_cnn_s_90.tflite"


def _elf(core: str) -> Path:
    return Path(firmware_size.__file__).with_name(f"code_parts_{core}.elf")


@pytest.mark.parametrize("core", emulated.CORES)
def test_firmware_has_all_kernels_of_the_class(core: str) -> None:
    found = code_parts.tables_of(firmware_code.read(_elf(core)))
    assert {kernel for kernel, _ in found} == set(code_parts.kernels(f"cortex-{core}"))


@pytest.mark.parametrize("core", emulated.CORES)
def test_table_of_the_planner_is_that_of_the_code(core: str) -> None:
    cpu = f"cortex-{core}"
    code = firmware_code.read(_elf(core))
    runtime = {code.addresses[name] for name in code_parts.RUNTIME if name in code.addresses}
    for (kernel, coding), table in code_parts.tables_of(code).items():
        if coding in ("huffman", "dense"):
            continue
        reader = code_parts.READERS[coding.rstrip("48") if coding.startswith("dcsr") else coding]
        pieces = code.pieces([table, reader, "part_ops", *(["part_longest_row"] if kernel == "conv1x1_mve" else [])])
        measured = sum(size for address, size in pieces.items() if address not in runtime)
        assert code_bytes.code_bytes(cpu, {(kernel, coding)}) == pytest.approx(measured, rel=_TOLERANCE)


def test_messages_count() -> None:
    code = firmware_code.read(_elf("m55"))
    pieces = code.pieces(["part_ops"])
    text = firmware_code.STRING + "has an impossible shape"
    sizes = {code.names[address]: size for address, size in pieces.items()}
    assert sizes[text] == -(-len(text) // 4) * 4


def test_follows_virtual_tables() -> None:
    code = firmware_code.read(_elf("m4"))
    names = {function.name for function in code.reachable(["part_ops"])}
    assert any("TflmPort" in name and "RequestScratch" in name for name in names)


@pytest.mark.parametrize("core", ["m0plus", "m4", "m55", "m85"])
def test_prints_the_parts_of_a_model(core: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert firmware_size.main([str(_MODEL), "--cpu", core]) == 0
    out = capsys.readouterr().out
    result = dcsr.compress(_MODEL.read_bytes(), cpu=f"cortex-{core}")
    kernels = sorted(kernel for kernel, _ in linking.parts(result.decisions))
    assert kernels
    assert all(kernel in out.splitlines()[-1] for kernel in kernels)
    assert "| messages |" in out


def test_prints_the_parts_of_a_firmware(capsys: pytest.CaptureFixture[str]) -> None:
    elf = str(_elf("m55"))
    assert firmware_size.main([str(_MODEL), "--cpu", "m55", "--elf", elf, "--dense", elf]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| mve/")]
    assert rows
    assert all(row[1] == row[2].removesuffix(" |") != "0" for row in rows)


def test_refuses_what_is_no_firmware(capsys: pytest.CaptureFixture[str]) -> None:
    assert firmware_size.main([str(_MODEL), "--elf", str(_MODEL)]) == 2
    assert "not an ELF file" in capsys.readouterr().err


@pytest.mark.skipif(not firmware_link.is_possible("m55"), reason="needs --//third_party/tflm:framework")
@pytest.mark.parametrize("core", ["m4", "m55"])
def test_links_whole_firmware(core: str) -> None:
    content = _MODEL.read_bytes()
    result = dcsr.compress(content, cpu=f"cortex-{core}")
    dense, compressed = firmware_size.linked(content, result, core)
    assert compressed.flash < dense.flash
    for firmware, model in ((dense, content), (compressed, result.model)):
        assert firmware.parts["model"] == len(dcsr.strip(model, name="model"))
        assert sum(firmware.parts.values()) == pytest.approx(firmware.flash, rel=0.04)
    assert not any("packed_layer" in part for part in dense.parts)
    assert any("packed_layer" in part for part in compressed.parts)


@pytest.mark.skipif(not firmware_link.is_possible("m55"), reason="needs --//third_party/tflm:framework")
@pytest.mark.parametrize("core", ["m4", "m7", "m33", "m55"])
def test_links_the_libraries_of_the_core(core: str, tmp_path: Path) -> None:
    content = _MODEL.read_bytes()
    header = firmware_link.header(tflite.parse(content, "model"), [], f"cortex-{core}")
    elf = firmware_link.link(core, content, header, tmp_path)
    # The linker names the newest core of all objects in the section .ARM.attributes.
    assert (b"cortex-m55" in elf.read_bytes()) == (core == "m55")
