"""scikit-learn's handwritten digits as a campaign: real data that needs no download."""

import numpy as np
import pyarrow as pa

from al_plugin.data.pool import sample_table

CLASSES = tuple("0123456789")
EVAL_SIZE = 599


def digits() -> tuple[pa.Table, pa.Table, bytes]:
    """Pool part (1,198 samples), evaluation set (599, a random third) and the pool's answers as CSV.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (CC BY 4.0),
    as shipped with scikit-learn. Features are 8x8 grey values, 0 to 16.
    """
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(labels))
    ids = [f"digit-{position:04d}" for position in range(len(labels))]
    # Rows stay in the data set's order: nothing of the split may show in the order of ids.
    in_eval = np.sort(order[:EVAL_SIZE])
    in_pool = np.sort(order[EVAL_SIZE:])
    names = [str(label) for label in labels]
    pool = sample_table([ids[i] for i in in_pool], features[in_pool])
    evaluation = sample_table([ids[i] for i in in_eval], features[in_eval], [names[i] for i in in_eval])
    lines = ['"sample_id","label"', *(f'"{ids[i]}","{names[i]}"' for i in in_pool)]
    return pool, evaluation, ("\n".join(lines) + "\n").encode()
