"""Everything that talks: one module per counterpart."""
