"""The container `lake`: access to it, its files on the local disk, and its errors."""
