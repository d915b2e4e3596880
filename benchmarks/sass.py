"""NVIDIA machine code: reads of uniform registers that nothing ever wrote.

ptxas 12.8 compiled a kernel with float16 and bfloat16 products so that it took addresses in shared
memory from such registers (`UIADD3 UR38, UP0, UR38, 0x20`): wrong results at small sizes, illegal
addresses at large ones. The machine code shows it without a GPU.
"""

from __future__ import annotations

import re

# Instructions of the uniform datapath, and those that write to it from elsewhere.
UNIFORM = ("U", "R2UR", "S2UR", "VOTEU", "REDUX", "CS2UR", "LDCU")


def unwritten(code: str) -> list[str]:
    """Return the instructions of `nvdisasm -c` that read a uniform register before any write.

    In the order of the text: a register that is only written further down, in a loop that comes
    round, counts as unwritten, which the compiler does not make of sound code.
    """
    written: set[int] = set()
    found = []
    for line in code.splitlines():
        instruction = re.sub(r"/\*[^*]*\*/", "", line).strip()
        parsed = re.match(r"(?:@!?U?P\w+\s+)?([A-Z][A-Za-z0-9_.]*)\s+(.*?)\s*;", instruction)
        if parsed is None:
            continue
        name, operands = parsed[1], [part.strip() for part in parsed[2].split(",")]
        writes, reads = _registers(name, operands)
        if not reads <= written:
            found.append(re.sub(r"\s+", " ", instruction))
        written |= writes
    return found


def _registers(name: str, operands: list[str]) -> tuple[set[int], set[int]]:
    """Return the uniform registers that an instruction writes and reads."""
    writes: set[int] = set()
    reads: set[int] = set()
    target = next((place for place, part in enumerate(operands) if not _predicate(part)), 0)
    for place, part in enumerate(operands):
        numbers = {int(number) for number in re.findall(r"\bUR(\d+)\b", part)}
        if place == target and name.startswith(UNIFORM) and "[" not in part:
            count = _width(name)
            writes |= {number + more for number in numbers for more in range(count)}
        elif "gdesc" in part:
            # A descriptor of a matrix in shared memory: two registers for the right factor, which
            # follow two for the left one unless that one comes from registers.
            left = bool(re.match(r"R\d", operands[1])) if len(operands) > 1 else False
            reads |= {n + more for n in numbers for more in ((2, 3) if left else (0, 1, 2, 3))}
        else:
            reads |= numbers
    return writes, reads


def _predicate(part: str) -> bool:
    return bool(re.fullmatch(r"!?U?P(\d|T)", part))


def _width(name: str) -> int:
    """Return how many registers the result of an instruction takes."""
    if ".128" in name:
        return 4
    return 2 if ".64" in name or ".WIDE" in name else 1
