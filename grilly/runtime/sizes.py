"""Numbers of bytes, for people."""


def sized(nbytes: int) -> str:
    """A number of bytes for people: `12 bytes`, `1.5 MiB`."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if nbytes >= 1 << power:
            return f"{nbytes / (1 << power):.1f} {unit}"
    return f"{nbytes} bytes"
