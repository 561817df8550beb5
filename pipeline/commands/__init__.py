"""The commands for people, one module each; what several of them share lies beside them."""
