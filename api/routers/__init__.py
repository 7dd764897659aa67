"""Routes by noun. They parse, ask `core.jobs`, and answer; they hold no rules of their own."""
