"""DVC stage prepare of the shipped campaign: scikit-learn's digits as pool, evaluation set, oracle."""

from al_plugin import layout, store
from al_plugin.data.digits import digits
from al_plugin.stage import run

if __name__ == "__main__":

    def prepare(_: object) -> None:
        pool, evaluation, answers = digits()
        store.write_table(f"{layout.POOL}/part-00000.parquet", pool)
        store.write_table(f"{layout.EVAL}/part-00000.parquet", evaluation)
        store.write_bytes(layout.ORACLE, answers)

    run("prepare", prepare)
