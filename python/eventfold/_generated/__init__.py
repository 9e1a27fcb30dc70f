"""Generated modules. Do not edit."""
