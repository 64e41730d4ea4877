"""Fuzzing guided by coverage, with atheris (libFuzzer): `python tests/fuzz/guided.py RUNS [TARGET...]`.

Inputs that reach new lines of al_plugin are kept and changed further. The same number of runs tries the same inputs
again. What fails is written to the current folder as TARGET-crash-*, beside the traceback.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

SEED = 1


def fuzz(name: str, runs: str, corpus: str, words: str) -> None:
    """One target, in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["al_plugin"], enable_loader_override=False):
        from targets import TARGETS, survives

    target = TARGETS[name]
    for number, content in enumerate(target.seeds()):
        Path(corpus, f"seed-{number}").write_bytes(content)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word[:64]) for word in target.words)
    Path(words).write_text("".join(f'"{word}"\n' for word in escaped))
    options = [
        f"-runs={runs}",
        f"-seed={SEED}",
        f"-dict={words}",
        "-max_len=16384",
        "-rss_limit_mb=6144",
        "-timeout=30",
    ]
    options += ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={name}-", corpus]
    atheris.Setup([sys.argv[0], *options], lambda data: survives(target, data) and None)
    atheris.Fuzz()


def main() -> int:
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("guided fuzzing was not done: atheris is not installed (pip install -e '.[trust]', Linux)")
        return 2
    from targets import TARGETS

    bad = []
    for name in sys.argv[2:] or TARGETS:
        with tempfile.TemporaryDirectory(prefix="al-fuzz-") as scratch:
            Path(scratch, "corpus").mkdir()
            child = [sys.executable, __file__, "--one", name, sys.argv[1], f"{scratch}/corpus", f"{scratch}/words"]
            done = subprocess.run(child, capture_output=True, text=True, check=False)
            kept = sum(1 for _ in Path(scratch, "corpus").iterdir())
        print(
            f"{name}: {sys.argv[1]} runs, {kept} inputs kept, {'a finding' if done.returncode else 'no finding'}",
            flush=True,
        )
        if done.returncode:
            bad.append(name)
            print(done.stderr[-4000:] + done.stdout[-2000:])
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        fuzz(*sys.argv[2:])
    sys.exit(main())
