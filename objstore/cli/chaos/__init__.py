"""`objstore chaos`: random faults under load on a cluster of its own, and what came of them."""
