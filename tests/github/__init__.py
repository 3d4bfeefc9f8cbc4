"""A GitHub for tests: stateful, strict, with real git behind it. ``fake.FakeGitHub`` is the way in."""
