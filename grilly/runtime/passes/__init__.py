"""Graph to graph: a file a pass, which says what it makes simpler or quicker; and what several of them look for."""
