"""Decks to take home: PPTX, PDF, ZIP."""
