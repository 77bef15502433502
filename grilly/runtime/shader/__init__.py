"""One shader's words: SPIR-V, and what makes it from arithmetic and indices."""
