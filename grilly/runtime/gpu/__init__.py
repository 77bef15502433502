"""A live GPU: the driver's calls, memory, recordings. Nothing of the compiler imports it."""
