"""Parquet files with a byte of their footer changed, read one after the other: pyarrow may abort the process."""

import random

from targets import TARGETS, part_seeds, survives


def main() -> None:
    draw, seeds = random.Random(1), part_seeds()
    for _ in range(800):
        content = bytearray(draw.choice(seeds))
        footer = int.from_bytes(content[-8:-4], "little")
        content[draw.randrange(len(content) - 8 - footer, len(content) - 8)] = draw.randrange(256)
        survives(TARGETS["parquet"], bytes(content))


if __name__ == "__main__":
    main()
