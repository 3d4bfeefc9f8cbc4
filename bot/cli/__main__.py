"""``python -m bot.cli``: the same as ``berth``, for processes that Berth starts itself."""

from bot.cli import main

if __name__ == "__main__":
    main()
