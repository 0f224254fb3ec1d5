"""Breakers in the clients that you have, one module per library; each needs the extra that bears its name."""
