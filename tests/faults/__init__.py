"""What can go wrong, injected into the real stages: docs/reliability.md is made of what these tests saw."""
