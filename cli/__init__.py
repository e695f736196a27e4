"""The command-line interface `moesd-probe`."""
