"""The provider SDK."""
