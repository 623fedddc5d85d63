"""What this machine computes, and how fast, held against its own CPU: what `sepbench doctor --check` looks at."""
