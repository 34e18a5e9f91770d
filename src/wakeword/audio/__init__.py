"""Sound as samples: decoding, synthesis, rooms, noise, and finding where somebody speaks."""
